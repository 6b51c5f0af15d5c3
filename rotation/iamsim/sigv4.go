package iamsim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	signingAlgorithm = "AWS4-HMAC-SHA256"
	signingTime      = "20060102T150405Z"
	// maxSkew is how far a signature's date may be from the clock.
	maxSkew = 15 * time.Minute
)

// signature is what a request says of how it was signed (IAM User Guide,
// "Create a signed AWS API request"), from its Authorization header or, for a
// presigned URL, from its query.
type signature struct {
	keyID, date, region, service string
	signedHeaders                []string
	signature                    string
	token                        string
	at                           time.Time
	stampText                    string
	lifetime                     time.Duration // of a presigned URL; zero otherwise
	presigned                    bool
}

// parseSignature reads the signature of a request without judging it.
func parseSignature(r *http.Request) (signature, error) {
	query := r.URL.Query()
	switch {
	case r.Header.Get("Authorization") != "":
		return parseHeaderSignature(r)
	case query.Has("X-Amz-Signature"):
		return parseQuerySignature(query)
	default:
		return signature{}, errMissingToken()
	}
}

func parseHeaderSignature(r *http.Request) (signature, error) {
	rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), signingAlgorithm+" ")
	if !ok {
		return signature{}, errIncompleteSignature("Authorization header must begin with '%s'", signingAlgorithm)
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if fields[name] == "" {
			return signature{}, errIncompleteSignature("Authorization header requires '%s' parameter.", name)
		}
	}
	sig := signature{
		signature: fields["Signature"],
		token:     r.Header.Get("X-Amz-Security-Token"),
		stampText: r.Header.Get("X-Amz-Date"),
	}
	return sig.complete(fields["Credential"], fields["SignedHeaders"])
}

func parseQuerySignature(query url.Values) (signature, error) {
	if got := query.Get("X-Amz-Algorithm"); got != signingAlgorithm {
		return signature{}, errIncompleteSignature("X-Amz-Algorithm must be '%s', not '%s'", signingAlgorithm, got)
	}
	sig := signature{
		signature: query.Get("X-Amz-Signature"),
		token:     query.Get("X-Amz-Security-Token"),
		stampText: query.Get("X-Amz-Date"),
		presigned: true,
	}
	if text := query.Get("X-Amz-Expires"); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil || seconds < 1 || seconds > 7*24*3600 {
			return signature{}, errIncompleteSignature("X-Amz-Expires must be 1 to 604800 seconds, not '%s'", text)
		}
		sig.lifetime = time.Duration(seconds) * time.Second
	}
	return sig.complete(query.Get("X-Amz-Credential"), query.Get("X-Amz-SignedHeaders"))
}

// complete takes a credential scope, a header list and the date apart.
func (sig signature) complete(credential, headers string) (signature, error) {
	parts := strings.Split(credential, "/")
	if len(parts) != 5 || parts[4] != "aws4_request" || parts[0] == "" {
		return sig, errIncompleteSignature("Credential must have the form ACCESS_KEY_ID/yyyymmdd/region/service/aws4_request")
	}
	sig.keyID, sig.date, sig.region, sig.service = parts[0], parts[1], parts[2], parts[3]
	sig.signedHeaders = strings.Split(headers, ";")
	at, err := time.Parse(signingTime, sig.stampText)
	if err != nil {
		return sig, errIncompleteSignature("X-Amz-Date must be in ISO-8601 'basic format', for example 20060102T150405Z, not '%s'", sig.stampText)
	}
	sig.at = at
	return sig, nil
}

// check judges everything about a signature but who made it: its scope, its
// age and that it covers what it has to.
func (sig signature) check(r *http.Request, service string, now time.Time) error {
	switch {
	case sig.region == "":
		return errSignature("Credential should be scoped to a valid region, not ''. Set one in the client, for example AWS_REGION=us-east-1.")
	case sig.service != service:
		return errSignature("Credential should be scoped to correct service: '%s'.", service)
	case sig.date != sig.stampText[:8]:
		return errSignature("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s'.", sig.date, sig.stampText[:8])
	case !slices.Contains(sig.signedHeaders, "host"):
		return errSignature("'Host' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for name := range r.Header {
		lower := strings.ToLower(name)
		if !sig.presigned && strings.HasPrefix(lower, "x-amz-") && !slices.Contains(sig.signedHeaders, lower) {
			return errSignature("'%s' must be a 'SignedHeader' in the AWS Authorization.", lower)
		}
	}
	return sig.checkAge(now)
}

func (sig signature) checkAge(now time.Time) error {
	lifetime := maxSkew
	if sig.presigned && sig.lifetime > 0 {
		lifetime = sig.lifetime
	}
	if oldest := now.Add(-lifetime); sig.at.Before(oldest) {
		return errSignature("Signature expired: %s is now earlier than %s (%s - %s.)",
			sig.stampText, oldest.Format(signingTime), now.Format(signingTime), lifetime)
	}
	if newest := now.Add(maxSkew); sig.at.After(newest) {
		return errSignature("Signature not yet current: %s is still later than %s (%s + %s.)",
			sig.stampText, newest.Format(signingTime), now.Format(signingTime), maxSkew)
	}
	return nil
}

// matches reports whether the secret made this signature of the request.
func (sig signature) matches(r *http.Request, body []byte, secret string) bool {
	key := []byte("AWS4" + secret)
	for _, part := range []string{sig.date, sig.region, sig.service, "aws4_request"} {
		key = sum(key, part)
	}
	scope := strings.Join([]string{sig.date, sig.region, sig.service, "aws4_request"}, "/")
	toSign := strings.Join([]string{signingAlgorithm, sig.stampText, scope, hexHash([]byte(sig.canonical(r, body)))}, "\n")
	want := hex.EncodeToString(sum(key, toSign))
	return hmac.Equal([]byte(want), []byte(sig.signature))
}

// canonical is the canonical request. IAM and STS clients send no
// X-Amz-Content-Sha256, so the payload hash is always that of the body received.
func (sig signature) canonical(r *http.Request, body []byte) string {
	var headers strings.Builder
	for _, name := range sig.signedHeaders {
		headers.WriteString(name + ":" + headerValue(r, name) + "\n")
	}
	return strings.Join([]string{
		r.Method,
		canonicalPath(r.URL),
		canonicalQuery(r.URL.Query()),
		headers.String(),
		strings.Join(sig.signedHeaders, ";"),
		hexHash(body),
	}, "\n")
}

// headerValue is a header as signed. The server has moved Host out of the header
// map and keeps the length of a body it received in ContentLength as well.
func headerValue(r *http.Request, name string) string {
	if name == "host" {
		return r.Host
	}
	values := r.Header.Values(name)
	if name == "content-length" && len(values) == 0 && r.ContentLength >= 0 {
		return strconv.FormatInt(r.ContentLength, 10)
	}
	trimmed := make([]string, len(values))
	for i, value := range values {
		trimmed[i] = strings.Join(strings.Fields(value), " ")
	}
	return strings.Join(trimmed, ",")
}

// canonicalPath encodes the path once more, as every service but S3 does.
func canonicalPath(u *url.URL) string {
	path := u.EscapedPath()
	if path == "" {
		return "/"
	}
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		segments[i] = encode(segment)
	}
	return strings.Join(segments, "/")
}

// canonicalQuery sorts the parameters and leaves the signature itself out.
func canonicalQuery(query url.Values) string {
	var pairs []string
	for name, values := range query {
		if name == "X-Amz-Signature" {
			continue
		}
		for _, value := range values {
			pairs = append(pairs, encode(name)+"="+encode(value))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// encode escapes all but the unreserved characters, a space as %20.
func encode(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

func sum(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func hexHash(data []byte) string {
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:])
}
