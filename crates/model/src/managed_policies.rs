//! AWS's managed policies, as far as what they are about is here. Names and paths are AWS's, so that templates that name them work.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use iam_policy::{Kind, Policy};

/// A policy that is there from the start, and that nobody can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AwsPolicy {
    /// `arn:aws:iam::aws:policy{path}{name}`
    pub arn: &'static str,
    /// `Description`
    pub description: &'static str,
    /// `Document`
    pub document: &'static str,
}

macro_rules! allow {
    ($action:literal) => {
        allow!($action, r#""*""#)
    };
    ($action:literal, $resource:literal) => {
        concat!(
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"#,
            $action,
            r#","Resource":"#,
            $resource,
            "}]}"
        )
    };
}

/// All of them, by ARN.
pub const AWS_POLICIES: &[AwsPolicy] = &[
    AwsPolicy {
        arn: "arn:aws:iam::aws:policy/AWSCertificateManagerFullAccess",
        description: "Everything of ACM.",
        document: allow!(r#"["acm:*"]"#),
    },
    AwsPolicy {
        arn: "arn:aws:iam::aws:policy/AWSCertificateManagerReadOnly",
        description: "Looking at certificates of ACM.",
        document: allow!(
            r#"["acm:DescribeCertificate","acm:ListCertificates","acm:GetCertificate","acm:ListTagsForCertificate"]"#
        ),
    },
    AwsPolicy {
        arn: "arn:aws:iam::aws:policy/AdministratorAccess",
        description: "Everything.",
        document: allow!(r#""*""#),
    },
    AwsPolicy {
        arn: "arn:aws:iam::aws:policy/AmazonAPIGatewayAdministrator",
        description: "Everything of API Gateway's management.",
        document: allow!(r#"["apigateway:*"]"#, r#""arn:aws:apigateway:*::/*""#),
    },
    AwsPolicy {
        arn: "arn:aws:iam::aws:policy/AmazonAPIGatewayInvokeFullAccess",
        description: "Calling all APIs.",
        document: allow!(r#"["execute-api:Invoke","execute-api:ManageConnections"]"#, r#""arn:aws:execute-api:*:*:*""#),
    },
    AwsPolicy {
        arn: "arn:aws:iam::aws:policy/AmazonRoute53FullAccess",
        description: "Everything of Route 53.",
        document: allow!(r#"["route53:*"]"#),
    },
    AwsPolicy {
        arn: "arn:aws:iam::aws:policy/AmazonRoute53ReadOnlyAccess",
        description: "Looking at hosted zones of Route 53.",
        document: allow!(r#"["route53:Get*","route53:List*","route53:TestDNSAnswer"]"#),
    },
    AwsPolicy {
        arn: "arn:aws:iam::aws:policy/AmazonS3FullAccess",
        description: "Everything of S3.",
        document: allow!(r#"["s3:*"]"#),
    },
    AwsPolicy {
        arn: "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",
        description: "Looking at buckets and objects of S3.",
        document: allow!(r#"["s3:Get*","s3:List*","s3:Describe*"]"#),
    },
    AwsPolicy {
        arn: "arn:aws:iam::aws:policy/CloudWatchLogsFullAccess",
        description: "Everything of CloudWatch Logs.",
        document: allow!(r#"["logs:*"]"#),
    },
    AwsPolicy {
        arn: "arn:aws:iam::aws:policy/CloudWatchLogsReadOnlyAccess",
        description: "Reading from CloudWatch Logs.",
        document: allow!(
            r#"["logs:Describe*","logs:Get*","logs:List*","logs:StartQuery","logs:StopQuery","logs:TestMetricFilter","logs:FilterLogEvents"]"#
        ),
    },
    AwsPolicy {
        arn: "arn:aws:iam::aws:policy/IAMFullAccess",
        description: "Everything of IAM.",
        document: allow!(r#"["iam:*"]"#),
    },
    AwsPolicy {
        arn: "arn:aws:iam::aws:policy/IAMReadOnlyAccess",
        description: "Looking at users, groups, roles and policies of IAM.",
        document: allow!(
            r#"["iam:Get*","iam:List*","iam:GenerateCredentialReport","iam:GenerateServiceLastAccessedDetails","iam:SimulateCustomPolicy","iam:SimulatePrincipalPolicy"]"#
        ),
    },
    AwsPolicy {
        arn: "arn:aws:iam::aws:policy/ReadOnlyAccess",
        description: "Looking at everything that is here.",
        document: allow!(
            r#"["acm:Describe*","acm:Get*","acm:List*","apigateway:GET","countersign:Get*","countersign:List*","countersign:Preview*","countersign:Prove*","countersign:Verify*","iam:Get*","iam:List*","iam:Simulate*","logs:Describe*","logs:FilterLogEvents","logs:Get*","logs:List*","logs:StartQuery","logs:StopQuery","logs:TestMetricFilter","route53:Get*","route53:List*","route53:Test*","s3:Get*","s3:List*","sts:GetAccessKeyInfo","sts:GetCallerIdentity","sts:GetSessionToken"]"#
        ),
    },
];

static COMPILED: LazyLock<HashMap<&'static str, Arc<Policy>>> = LazyLock::new(|| {
    let compiled = |policy: &AwsPolicy| {
        let read = Policy::parse(policy.document, Kind::Identity).expect("the documents are tested");
        (policy.arn, Arc::new(read))
    };
    AWS_POLICIES.iter().map(compiled).collect()
});

impl AwsPolicy {
    /// The policy with this ARN.
    pub fn find(arn: &str) -> Option<&'static Self> {
        AWS_POLICIES.iter().find(|policy| policy.arn == arn)
    }

    /// `PolicyName`
    pub fn name(&self) -> &'static str {
        self.arn.rsplit('/').next().unwrap_or_default()
    }

    /// Compiled, by its ARN.
    pub(crate) fn compiled(arn: &str) -> Option<Arc<Policy>> {
        COMPILED.get(arn).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_can_be_read_and_are_in_order() {
        assert!(AWS_POLICIES.is_sorted_by(|a, b| a.arn < b.arn));
        for policy in AWS_POLICIES {
            assert!(AwsPolicy::compiled(policy.arn).is_some(), "{}", policy.arn);
        }
    }
}
