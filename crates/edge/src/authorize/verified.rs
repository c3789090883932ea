//! Tokens whose signatures were found to hold: one that comes again costs a hash and a look-up.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use aws_lc_rs::digest::{Context, SHA256};
use model::Issuer;
use trust::UnixSeconds;

use super::token::Token;

/// Tokens that one runtime remembers.
const MAX_TOKENS: usize = 10_000;
/// What their claims take together.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// For how long at most: an issuer that takes a key back has to be heard some time.
const REMEMBERED_SECONDS: i64 = 300;

/// Verified tokens of one runtime. Only what an issuer has signed gets in.
#[derive(Default)]
pub(crate) struct VerifiedTokens(RefCell<Memory>);

/// Digest of an issuer's name and a token.
pub(super) type TokenDigest = [u8; 32];

#[derive(Default)]
struct Memory {
    tokens: HashMap<TokenDigest, Remembered>,
    bytes: usize,
}

struct Remembered {
    token: Rc<Token>,
    until: UnixSeconds,
    bytes: usize,
}

impl VerifiedTokens {
    /// By what a token of that issuer is known.
    pub(super) fn digest(issuer: &Issuer, token: &str) -> TokenDigest {
        let mut context = Context::new(&SHA256);
        // A URL has no zero byte in it: no other pair reads the same.
        for part in [issuer.as_str().as_bytes(), &[0], token.as_bytes()] {
            context.update(part);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }

    pub(super) fn find(&self, digest: &TokenDigest, at: UnixSeconds) -> Option<Rc<Token>> {
        let memory = self.0.borrow();
        memory.tokens.get(digest).filter(|remembered| at < remembered.until).map(|remembered| remembered.token.clone())
    }

    pub(super) fn remember(&self, digest: TokenDigest, token: &Rc<Token>, at: UnixSeconds) {
        let until = token.expires().min(at.saturating_add(REMEMBERED_SECONDS));
        let bytes = token.weight();
        if until <= at || bytes > MAX_BYTES {
            return;
        }
        let memory = &mut *self.0.borrow_mut();
        memory.make_room(bytes, at);
        let old = memory.tokens.insert(digest, Remembered { token: token.clone(), until, bytes });
        memory.bytes = memory.bytes + bytes - old.map_or(0, |old| old.bytes);
    }
}

impl Memory {
    /// Those that have ended go first. Where that is not enough all go: what is still in use is back at once.
    fn make_room(&mut self, bytes: usize, at: UnixSeconds) {
        let is_full = |memory: &Self| memory.tokens.len() >= MAX_TOKENS || memory.bytes + bytes > MAX_BYTES;
        if is_full(self) {
            self.tokens.retain(|_, remembered| at < remembered.until);
            self.bytes = self.tokens.values().map(|remembered| remembered.bytes).sum();
        }
        if is_full(self) {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(expires: i64, claim: &str) -> Rc<Token> {
        Rc::new(Token::of(serde_json::json!({"exp": expires, "x": claim}).to_string().as_bytes()).unwrap())
    }

    #[test]
    fn remembers_until_the_token_ends_and_no_longer_than_it_may() {
        let tokens = VerifiedTokens::default();
        tokens.remember([1; 32], &token(1_010, ""), 1_000);
        tokens.remember([2; 32], &token(9_000, ""), 1_000);
        tokens.remember([3; 32], &token(1_000, ""), 1_000);
        for (digest, at, found) in [
            (1, 1_009, true),
            (1, 1_010, false),
            (2, 1_299, true),
            (2, 1_300, false),
            (3, 999, false),
            (4, 1_000, false),
        ] {
            assert_eq!(tokens.find(&[digest; 32], at).is_some(), found, "{digest} {at}");
        }
    }

    #[test]
    fn is_bounded_in_number_and_in_bytes() {
        let tokens = VerifiedTokens::default();
        let (large, small) = (token(9_000, &"x".repeat(64 * 1024)), token(9_000, ""));
        for number in 0..2 * MAX_TOKENS {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&number.to_le_bytes());
            tokens.remember(digest, if number < 1_000 { &large } else { &small }, 1_000);
            let memory = tokens.0.borrow();
            assert!(memory.tokens.len() <= MAX_TOKENS && memory.bytes <= MAX_BYTES);
        }
        assert_eq!(tokens.0.borrow().bytes, tokens.0.borrow().tokens.values().map(|one| one.bytes).sum::<usize>());
    }

    #[test]
    fn another_issuers_token_is_another() {
        let digest = |issuer, token| VerifiedTokens::digest(&Issuer::parse(issuer).unwrap(), token);
        assert_ne!(digest("https://a.example/", "x"), digest("https://a.example", "x"));
        assert_ne!(digest("https://a.example/x", "y"), digest("https://a.example/", "xy"));
    }
}
