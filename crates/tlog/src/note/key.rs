//! Keys of notes, and what each algorithm signs.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature as Ed25519, Signer as _, SigningKey, Verifier as _, VerifyingKey};
use sha2::{Digest, Sha256};

use super::Signature;
use crate::b64;

/// The algorithms known here, by the byte before the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// 1: Ed25519 over the text. The only one the go command knows.
    Ed25519,
    /// 4: Ed25519 over a time and the text (C2SP tlog-cosignature, `cosignature/v1`), by which a
    /// witness says when it saw a head.
    CosignatureV1,
}

/// A public key with its name: `name+hash+base64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key_hash: u32,
    algorithm: Algorithm,
    key: VerifyingKey,
}

/// A private key that signs texts. Its text form and its seed are secrets; `Debug` shows neither.
#[derive(Clone)]
pub struct Signer {
    verifier: VerifierKey,
    key: SigningKey,
}

/// A private key that cosigns checkpoints. `Debug` does not show it.
#[derive(Clone)]
pub struct Cosigner {
    verifier: VerifierKey,
    key: SigningKey,
}

/// A text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It breaks the grammar, or the name holds a space or a plus sign.
    #[error("malformed key: expected name+hash+base64")]
    Malformed,
    /// The algorithm byte is not known.
    #[error("unknown key algorithm")]
    Algorithm,
    /// The hash is not that of the name and the key.
    #[error("the key's hash does not fit its name and key: was it copied whole?")]
    Hash,
}

impl Algorithm {
    fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::CosignatureV1 => 4,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Ed25519, Self::CosignatureV1]
            .into_iter()
            .find(|algorithm| algorithm.byte() == byte)
    }
}

impl VerifierKey {
    /// Names a public key.
    pub fn new(name: &str, algorithm: Algorithm, public: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(public).map_err(|_| KeyError::Malformed)?;
        Self::named(name, algorithm, key)
    }

    fn named(name: &str, algorithm: Algorithm, key: VerifyingKey) -> Result<Self, KeyError> {
        if !is_name(name) {
            return Err(KeyError::Malformed);
        }
        Ok(Self {
            name: name.to_owned(),
            key_hash: key_hash(name, &encoded(algorithm, key.as_bytes())),
            algorithm,
            key,
        })
    }

    /// The key's name: for a checksum database, its address.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of SHA-256 over name, line feed, algorithm and key.
    pub fn key_hash(&self) -> u32 {
        self.key_hash
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature`, without the key's hash before it, is this key's on `text`.
    pub fn verify(&self, text: &str, signature: &[u8]) -> bool {
        match self.algorithm {
            Algorithm::Ed25519 => self.verify_bytes(text.as_bytes(), signature),
            Algorithm::CosignatureV1 => self.verify_cosignature(text, signature).is_some(),
        }
    }

    /// When a cosignature says it was made, in seconds since 1970; `None` unless the line is a
    /// good cosignature by this key on `text`.
    pub fn cosigned_at(&self, text: &str, signature: &Signature) -> Option<u64> {
        let is_ours = self.algorithm == Algorithm::CosignatureV1
            && signature.is_by(&self.name, self.key_hash);
        let bytes = b64::decode(signature.base64().as_bytes())?;
        let (_, bytes) = bytes.split_first_chunk::<4>()?;
        self.verify_cosignature(text, bytes).filter(|_| is_ours)
    }

    fn verify_cosignature(&self, text: &str, signature: &[u8]) -> Option<u64> {
        let (time, signature) = signature.split_first_chunk()?;
        let time = u64::from_be_bytes(*time);
        let message = cosigned(text, time);
        let good = time <= i64::MAX as u64 && self.verify_bytes(message.as_bytes(), signature);
        good.then_some(time)
    }

    fn verify_bytes(&self, message: &[u8], signature: &[u8]) -> bool {
        // Not the strict form: it must agree with Go's crypto/ed25519 on every signature.
        Ed25519::from_slice(signature)
            .is_ok_and(|signature| self.key.verify(message, &signature).is_ok())
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = b64::encode(&encoded(self.algorithm, self.key.as_bytes()));
        write!(f, "{}+{:08x}+{key}", self.name, self.key_hash)
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, rest) = text.split_once('+').ok_or(KeyError::Malformed)?;
        let (hash, algorithm, public) = parse_key(name, rest, Some)?;
        let key = Self::new(name, algorithm, &public)?;
        if key.key_hash == hash {
            Ok(key)
        } else {
            Err(KeyError::Hash)
        }
    }
}

impl Signer {
    /// The signer whose private key is this seed. The caller provides the randomness.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let key = SigningKey::from_bytes(seed);
        let verifier = VerifierKey::named(name, Algorithm::Ed25519, key.verifying_key())?;
        Ok(Self { verifier, key })
    }

    /// The public key.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs a text: the same text always gets the same signature.
    pub fn sign(&self, text: &str) -> Signature {
        let signature = self.key.sign(text.as_bytes()).to_bytes();
        Signature::new(&self.verifier.name, self.verifier.key_hash, &signature)
    }

    /// The text form, `PRIVATE+KEY+name+hash+base64`: a secret.
    pub fn to_secret(&self) -> String {
        secret(&self.verifier, &self.key)
    }

    /// Reads the text form.
    pub fn parse_secret(text: &str) -> Result<Self, KeyError> {
        let (name, hash, seed) = parse_secret(text, Algorithm::Ed25519)?;
        let signer = Self::from_seed(name, &seed)?;
        if signer.verifier.key_hash == hash {
            Ok(signer)
        } else {
            Err(KeyError::Hash)
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.verifier)
    }
}

impl Cosigner {
    /// The cosigner whose private key is this seed. What it signs does not name it, so no two
    /// cosigners may share a seed, nor a cosigner and a [`Signer`].
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let key = SigningKey::from_bytes(seed);
        let verifier = VerifierKey::named(name, Algorithm::CosignatureV1, key.verifying_key())?;
        Ok(Self { verifier, key })
    }

    /// The public key.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Cosigns a checkpoint's text at `time`, in seconds since 1970, at most `i64::MAX`: a later
    /// one counts as that.
    pub fn sign(&self, text: &str, time: u64) -> Signature {
        let time = time.min(i64::MAX as u64);
        let mut signature = time.to_be_bytes().to_vec();
        signature.extend(self.key.sign(cosigned(text, time).as_bytes()).to_bytes());
        Signature::new(&self.verifier.name, self.verifier.key_hash, &signature)
    }

    /// The text form, `PRIVATE+KEY+name+hash+base64`: a secret.
    pub fn to_secret(&self) -> String {
        secret(&self.verifier, &self.key)
    }

    /// Reads the text form.
    pub fn parse_secret(text: &str) -> Result<Self, KeyError> {
        let (name, hash, seed) = parse_secret(text, Algorithm::CosignatureV1)?;
        let cosigner = Self::from_seed(name, &seed)?;
        if cosigner.verifier.key_hash == hash {
            Ok(cosigner)
        } else {
            Err(KeyError::Hash)
        }
    }
}

impl fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cosigner({})", self.verifier)
    }
}

/// Not empty, no Unicode space, no plus sign.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+')
}

/// What a cosigner signs: a header that no checkpoint begins with, the time, the checkpoint.
fn cosigned(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

fn encoded(algorithm: Algorithm, key: &[u8; 32]) -> Vec<u8> {
    let mut bytes = vec![algorithm.byte()];
    bytes.extend_from_slice(key);
    bytes
}

fn key_hash(name: &str, encoded: &[u8]) -> u32 {
    let mut hasher = Sha256::new();
    hasher.update(name);
    hasher.update("\n");
    hasher.update(encoded);
    let [a, b, c, d, ..]: [u8; 32] = hasher.finalize().into();
    u32::from_be_bytes([a, b, c, d])
}

fn secret(verifier: &VerifierKey, key: &SigningKey) -> String {
    let seed = b64::encode(&encoded(verifier.algorithm, key.as_bytes()));
    format!(
        "PRIVATE+KEY+{}+{:08x}+{seed}",
        verifier.name, verifier.key_hash
    )
}

fn parse_secret(text: &str, wanted: Algorithm) -> Result<(&str, u32, [u8; 32]), KeyError> {
    let rest = text
        .strip_prefix("PRIVATE+KEY+")
        .ok_or(KeyError::Malformed)?;
    let (name, rest) = rest.split_once('+').ok_or(KeyError::Malformed)?;
    let only = |algorithm| (algorithm == wanted).then_some(algorithm);
    let (hash, _, seed) = parse_key(name, rest, only)?;
    Ok((name, hash, seed))
}

/// Reads `hash+base64`, as Go does: eight hexadecimal digits of either case.
fn parse_key(
    name: &str,
    rest: &str,
    accept: impl Fn(Algorithm) -> Option<Algorithm>,
) -> Result<(u32, Algorithm, [u8; 32]), KeyError> {
    let (hash, key) = rest.split_once('+').ok_or(KeyError::Malformed)?;
    let is_hash = hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    let hash = u32::from_str_radix(hash, 16).map_err(|_| KeyError::Malformed)?;
    let bytes = b64::decode(key.as_bytes()).ok_or(KeyError::Malformed)?;
    let (algorithm, key) = bytes.split_first().ok_or(KeyError::Malformed)?;
    if !is_hash || !is_name(name) {
        return Err(KeyError::Malformed);
    }
    let algorithm = Algorithm::from_byte(*algorithm)
        .and_then(accept)
        .ok_or(KeyError::Algorithm)?;
    let key = key.try_into().map_err(|_| KeyError::Malformed)?;
    Ok((hash, algorithm, key))
}
