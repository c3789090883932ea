//! Whose signature is missing.

use rcgen::{CustomExtension, DnType, DnValue};
use trust::Code;

use crate::support::{Authority, bundle, ca_params, leaf_params, new_key, truststore};
use crate::{ca_with, fact, leaf_with, pem_fingerprint, row};

/// `authorityInfoAccess` with one `caIssuers` URL.
fn aia(url: &str) -> CustomExtension {
    let tlv = |tag: u8, value: &[u8]| [&[tag, value.len() as u8], value].concat();
    let access = [tlv(6, &[0x2b, 6, 1, 5, 5, 7, 0x30, 2]), tlv(0x86, url.as_bytes())].concat();
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], tlv(0x30, &tlv(0x30, &access)))
}

#[test]
fn an_issuer_that_is_unknown() {
    let root = Authority::root("Root");
    let sub = root.sub("Sub");
    let (store, root_only) = (truststore(&bundle(&[&root, &sub])), truststore(&root.pem()));
    let leaf = sub.leaf("client");
    let stranger = Authority::root("Nobody");
    let of_stranger = stranger.leaf("client");
    let code = Code::ClientCertUntrusted;
    row(&store, &[&of_stranger], code, "No authority in the truststore is named \"CN=Nobody\".", "Add the issuer")
        .check();
    let only_there = "The issuer \"CN=Sub\" was sent by the client, but the path is built from the truststore alone, which \
                      has \"CN=Root\" above it but not itself.";
    let row_of_sent = row(&root_only, &[&leaf, sub.der()], code, only_there, "countersign:profile=rfc5280");
    let explanation = row_of_sent.check();
    assert_eq!(fact(&explanation, "issuer_sent_sha256"), Some(pem_fingerprint(sub.der()).as_str()));
    let not_there = "The issuer \"CN=Nobody\" was sent by the client, but the path is built from the truststore alone, and \
                     it is not there.";
    row(&store, &[&of_stranger, stranger.der()], code, not_there, "Add the intermediate").check();
    let only_leaf = "The client sent only its own certificate, and its issuer \"CN=Sub\" is not in the truststore.";
    row(&root_only, &[&leaf], code, only_leaf, "Have the client send its intermediates").rfc5280().check();

    let url = "http://ca.example/nobody.cer";
    let with_url = leaf_with(&stranger, |p| p.custom_extensions = vec![aia(url)]);
    let says = "No authority in the truststore is named \"CN=Nobody\".";
    let explanation = row(&store, &[&with_url], code, says, "names http://ca.example/nobody.cer as the place").check();
    assert_eq!(fact(&explanation, "issuer_url"), Some(url));
    assert_eq!(fact(&explanation, "issuer_wanted"), Some("CN=Nobody"));
}

#[test]
fn an_issuer_under_another_name() {
    let key = new_key();
    let old = ca_params("Old Name").self_signed(&key).unwrap();
    let store = truststore(&old.pem());
    let issuer = rcgen::Issuer::new(ca_params("New Name"), &key);
    let leaf = leaf_params("client").signed_by(&new_key(), &issuer).unwrap();
    let says = "The key that signed the certificate is in the truststore, but as that of \"CN=Old Name\"; the certificate \
                calls its issuer \"CN=New Name\".";
    row(&store, &[leaf.der()], Code::ClientCertUntrusted, says, "under the name that the certificate gives").check();

    let store = truststore(&Authority::root("Acme Root").pem());
    let printable = DnValue::PrintableString("ACME  Root".try_into().unwrap());
    let renamed = ca_with("x", |p| {
        p.distinguished_name = rcgen::DistinguishedName::new();
        p.distinguished_name.push(DnType::CommonName, printable.clone());
    });
    let leaf = Authority::root_of(renamed).leaf("client");
    let says = "The truststore has \"CN=Acme Root\", which is the issuer's name in another encoding (string types, letter \
                case or blanks); names are compared byte for byte.";
    row(&store, &[&leaf], Code::ClientCertUntrusted, says, "as it is named in the truststore").check();
}

#[test]
fn the_right_name_with_another_key() {
    let root = Authority::root("Root");
    let sub = root.sub("Sub");
    let store = truststore(&bundle(&[&root, &sub]));
    let leaf = root.sub("Sub").leaf("client");
    let id = colons(trust::Certificate::from_der(&leaf).unwrap().authority_key_id().unwrap());
    let says = format!(
        "The truststore has an authority named \"CN=Sub\", but the certificate was signed by another key (key identifier \
         {id})."
    );
    let explanation = row(&store, &[&leaf], Code::ClientCertSignatureInvalid, says, "Add the authority").check();
    assert_eq!(fact(&explanation, "issuer_wanted"), Some("CN=Sub"));
    assert_eq!(fact(&explanation, "issuer_key_id_wanted"), Some(id.as_str()));
    assert_ne!(fact(&explanation, "issuer_key_id_wanted"), fact(&explanation, "truststore_issuer_key_id"));
    assert_eq!(fact(&explanation, "truststore_issuer_sha256"), Some(pem_fingerprint(sub.der()).as_str()));
}

#[test]
fn a_path_that_ends_below_a_root() {
    let url = "http://ca.example/missing.cer";
    let missing = Authority::root("Missing");
    let lonely = missing.sub_of(ca_with("Lonely", |p| p.custom_extensions = vec![aia(url)]));
    let leaf = lonely.leaf("client");
    let code = Code::ClientCertChainIncomplete;
    let store = truststore(&lonely.pem());
    let says = "The path ends at the intermediate \"CN=Lonely\": its issuer \"CN=Missing\" is not in the truststore, which \
                must hold every authority up to the self-signed root.";
    let explanation = row(&store, &[&leaf], code, says, url).check();
    assert_eq!(fact(&explanation, "issuer_url"), Some(url));
    assert_eq!(fact(&explanation, "issuer_wanted"), Some("CN=Missing"));

    let unsigned = truststore(&bundle(&[&Authority::root("Missing"), &lonely]));
    let says = "The path ends at the intermediate \"CN=Lonely\": its issuer \"CN=Missing\" is there by name only: the \
                authority of that name in the truststore did not sign it.";
    row(&unsigned, &[&leaf], code, says, "missing authorities").check();

    let store = truststore(&Authority::root("Root").pem());
    let says = "The path ends at the intermediate \"CN=Lonely\", which the client sent: its issuer \"CN=Missing\" neither \
                came with it nor is in the truststore.";
    let explanation = row(&store, &[&leaf, lonely.der()], code, says, url).rfc5280().check();
    assert_eq!(fact(&explanation, "issuer_wanted"), Some("CN=Missing"));
}

#[test]
fn self_signed() {
    let key = new_key();
    let first = leaf_params("Self").self_signed(&key).unwrap();
    let renewed = leaf_params("Self").self_signed(&key).unwrap();
    let other = leaf_params("Self").self_signed(&new_key()).unwrap();
    let elsewhere = truststore(&Authority::root("Root").pem());
    for (store, says) in [
        (&elsewhere, "is self-signed and not in the truststore."),
        (
            &truststore(&first.pem()),
            "is self-signed, and the truststore has another certificate with its name and key, so it was probably renewed; \
             a listed certificate is accepted only byte for byte.",
        ),
        (
            &truststore(&other.pem()),
            "is self-signed; the truststore has a certificate with its name, but with another key.",
        ),
    ] {
        let says = format!("The certificate \"CN=Self\" {says}");
        row(store, &[renewed.der()], Code::ClientCertSelfSigned, says, "add this very certificate").check();
    }
}

#[test]
fn too_complex() {
    let same_named: Vec<Authority> = (0..70).map(|_| Authority::root("Root")).collect();
    let store = truststore(&bundle(&same_named.iter().collect::<Vec<_>>()));
    let leaf = leaf_with(&Authority::root("Root"), |p| p.use_authority_key_identifier_extension = false);
    let says = "The search for a path took too many steps: 70 authorities in the truststore have the issuer's name \
                \"CN=Root\", and the client sent 0 certificates besides its own.";
    row(&store, &[&leaf], Code::ClientCertPathTooComplex, says, "Remove needless authorities").check();
}

fn colons(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}
