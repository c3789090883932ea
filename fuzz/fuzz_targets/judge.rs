//! The judge: truststores and chains over few names and keys, whose signatures are mostly good and whose extensions are
//! the fuzzer's.
#![no_main]

#[path = "../../crates/trust/tests/support/forge.rs"]
#[allow(dead_code)]
mod forge;

use forge::{Forge, P256_KEYS, authority_key_id, basic_constraints, extended_key_usage, extension, name};
use libfuzzer_sys::fuzz_target;
use trust::{Certificate, Policy, Profile, Purpose, Surroundings, Truststore, Unrevoked, Verdict, explain};

const NOW: i64 = 1_795_305_600;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let profile = if input.chance() { Profile::Rfc5280 } else { Profile::Aws };
    let purpose = if input.octet() == 7 { Purpose::Server } else { Purpose::Client };
    let max_depth = input.octet() % 12;
    let policy = Policy { purpose, any_eku: input.chance(), max_depth, ..Policy::of(profile) };
    let authorities: Vec<Vec<u8>> = (0..1 + input.octet() % 6).map(|_| input.authority()).collect();
    let mut chain = vec![input.leaf()];
    chain.extend((0..input.octet() % 6).map(|_| input.authority()));

    let pem = |der: &Vec<u8>| Certificate::from_der(der).map_or_else(|_| String::new(), |certificate| certificate.pem());
    let Ok((truststore, _)) = Truststore::compile(authorities.iter().map(pem).collect::<String>().as_bytes(), NOW)
    else {
        return;
    };
    let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
    let judgment = truststore.judge(&chain, &policy, &Unrevoked, NOW);
    let cost = judgment.cost;
    assert!(cost.signature_checks <= 64 && cost.steps <= 25_000 && cost.paths <= 64);
    assert!(judgment.holds_until >= NOW);
    let later = truststore.judge(&chain, &policy, &Unrevoked, judgment.holds_until);
    assert_eq!(later.is_accepted(), judgment.is_accepted());
    match &judgment.verdict {
        Verdict::Accepted(path) => {
            let path = &path.0;
            assert_eq!(path[0].der(), chain[0]);
            assert!(truststore.certificates().any(|listed| listed == &path[path.len() - 1]));
            for pair in path.windows(2) {
                assert!(pair[0].issuer_der() == pair[1].subject_der() && pair[0].is_signed_by(&pair[1]));
                assert!(pair[1].is_ca() || pair[1].version() < 3);
            }
            assert!(path.iter().all(|link| link.not_before() <= NOW && NOW <= link.not_after()));
        }
        Verdict::Refused(refusal) => assert!(!refusal.detail.is_empty()),
        Verdict::NeedsStatus(_) => panic!("nothing asks for revocation"),
    }
    let around = Surroundings { neighbours: &[], seen: None };
    let _ = explain(&judgment, &chain, &truststore, &around, &policy, NOW);
});

/// The fuzzer's octets, read as choices; zeros when there are no more.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn octet(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn chance(&mut self) -> bool {
        self.octet() & 1 == 1
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }

    fn name(&mut self) -> Vec<u8> {
        match self.octet() {
            octet @ ..250 => name(["A", "B", "C", "a"][usize::from(octet % 4)]),
            count => self.take(usize::from(count) - 240),
        }
    }

    fn authority(&mut self) -> Vec<u8> {
        self.certificate(true)
    }

    fn leaf(&mut self) -> Vec<u8> {
        self.certificate(false)
    }

    fn certificate(&mut self, is_authority: bool) -> Vec<u8> {
        let keys = self.octet();
        let (key, issuer) = (&P256_KEYS[usize::from(keys % 4)], &P256_KEYS[usize::from(keys / 4 % 4)]);
        let mut forge = Forge::new("", "", key);
        (forge.subject, forge.issuer) = (self.name(), self.name());
        forge.serial = vec![1 + self.octet() % 100];
        let form = self.octet();
        if form & 0x80 == 0 {
            forge = match is_authority {
                true => forge.authority(issuer, (form & 0x40 != 0).then_some(form & 7)),
                false => forge.client(issuer),
            };
        }
        if form & 0x38 == 0x38 {
            forge.version = form & 3;
        }
        if form & 0x30 == 0x20 {
            forge.not_after = "20250101000000Z";
        }
        for _ in 0..self.octet() % 4 {
            forge.extensions.push(self.extension());
        }
        let mut der = forge.signed_by(issuer);
        if form == 0xff {
            let at = usize::from(self.octet()) * 256 + usize::from(self.octet());
            let length = der.len();
            der[at % length] ^= self.octet();
        }
        der
    }

    fn extension(&mut self) -> Vec<u8> {
        let kind = self.octet();
        let critical = self.chance();
        match kind {
            0 => return basic_constraints(critical, None),
            1 => return extended_key_usage(&[1 + u8::from(critical)]),
            2 => return authority_key_id(&P256_KEYS[usize::from(critical)].id()),
            _ => {}
        }
        let count = usize::from(self.octet());
        let value = self.take(count);
        match kind {
            250.. => extension(&[0x2b, 6, 1, 5, 5, 7, 1, 1], critical, &value),
            last => extension(&[0x55, 0x1d, last % 64], critical, &value),
        }
    }
}
