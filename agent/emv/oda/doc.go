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
// PINKey recovers the key that offline PINs are enciphered under, and EncipherPIN is the PIN pad's half of it (Book 2, 7).
//
// # The SM suite
//
// SM2Key, SM2IssuerKey, SM2ICCKey, SM2Static, SM2Dynamic and Combined.VerifySM2 do the same with SM2 signatures over SM3.
// Certificates carry their keys in clear with the signature behind them, in formats 12 to 15. The layout follows JR/T
// 0025, part 17, as far as it is known in public. No vector of an SM card is public: the signature is proven with the
// vector of GB/T 32918.5-2017, annex A, the layout only against this project's own signer. Whoever has the cards of an
// issuer must compare before using it; no kernel here chooses it by itself.
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
//   - The two suites are two types beside each other, Key and SM2Key, so that a key of one cannot verify the other's
//     signature.
//   - SM2 is verified with the curve and the hash of github.com/emmansun/gmsm and twenty lines here: the module's own
//     verification takes DER signatures and needs another module for them, a card's are r and s.
package oda
