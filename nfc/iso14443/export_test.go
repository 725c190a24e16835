package iso14443

// ErrBound lets tests tell a bound from other failures.
var ErrBound = errBound
