package oda

// VerifySM2 is a key's verification, for the standard's own vector.
func VerifySM2(k SM2Key, signature, message []byte) error {
	return k.verify("vector", signature, message)
}
