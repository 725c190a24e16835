package vterm

import (
	"crypto/subtle"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// policy lets the page load its own files and nothing else; pictures of dots are
// made by its script.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// guard refuses foreign host names and whoever does not know the token, and sets
// the headers that every answer has.
func (p *Page) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		switch {
		case !loopback(r.Host):
			refuse(w, http.StatusForbidden, "the host name is not loopback")
		case !p.known(w, r):
			refuse(w, http.StatusForbidden, "open the address with its token, as the laboratory printed it")
		case r.Method != http.MethodGet && r.Method != http.MethodHead && !sameSite(r):
			refuse(w, http.StatusForbidden, "the request comes from another site")
		default:
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			next.ServeHTTP(w, r)
		}
	})
}

// known tells whether the request carries the cookie, or the token on its first
// visit, for which it gets the cookie.
func (p *Page) known(w http.ResponseWriter, r *http.Request) bool {
	if token := r.URL.Query().Get("token"); r.URL.Path == "/" && token != "" {
		if !p.same(token) {
			return false
		}
		http.SetCookie(w, &http.Cookie{Name: p.cookie, Value: p.token, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
		return true
	}
	c, err := r.Cookie(p.cookie)
	return err == nil && p.same(c.Value)
}

func (p *Page) same(token string) bool {
	return subtle.ConstantTimeCompare([]byte(token), []byte(p.token)) == 1
}

// loopback tells whether a Host header names this machine to itself.
func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// sameSite tells whether a request that changes something comes from the page
// itself, or from a program that is no browser.
func sameSite(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host == r.Host
}
