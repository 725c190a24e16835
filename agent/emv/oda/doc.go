// Package oda is offline data authentication with RSA: it recovers the issuer's and the card's public keys from their
// certificates and verifies static (SDA), dynamic (DDA) and combined (CDA) signatures. EMV 4.4 Book 2, 5 and 6.
//
// It is not a kernel: it sends nothing to the card, chooses no method and sets no TVR bit. The caller gathers the bytes
// and turns an error into "SDA failed", "DDA failed" or "CDA failed".
//
//	ca, ok := capks.Lookup(aid.RID(), index)
//	issuer, err := oda.IssuerKey(oda.Authority{Key: ca, Now: now}, oda.Certificate{Body: tag90, Remainder: tag92, Exponent: tag9F32}, pan)
//	icc, err := oda.ICCKey(issuer, oda.Certificate{Body: tag9F46, Remainder: tag9F48, Exponent: tag9F47}, pan, static, now)
//	number, err := oda.Dynamic(icc, sdad, ddolData)
//
// Every function is pure, allocates a bounded amount and returns a value or an error that wraps ErrFailed and names the
// check that failed. No input makes it panic. It takes and reveals a PAN to compare it with the certificates' and
// keeps nothing.
//
// # Decisions
//
//   - A certificate is opened with math/big: crypto/rsa refuses keys of EMV's sizes and exponent 3. All values are
//     public, so constant time does not matter.
//   - A block that is not below its modulus fails, although raising it would work: no honest signer makes one, and each
//     signature then has one form only.
//   - Padding is not compared byte by byte: it is under the hash.
//   - The RSA suite is this package's functions; another algorithm comes as another type beside Key, so that a key of
//     one suite cannot verify the other's signature.
package oda
