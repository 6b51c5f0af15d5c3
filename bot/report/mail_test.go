package report

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

const password = "hunter2-of-the-relay"

// office is an SMTP server that keeps what it is sent.
type office struct {
	addr   *net.TCPAddr
	roots  *x509.CertPool
	refuse error // what it answers to every mail, if anything
	curt   bool  // it hangs up as soon as it has taken a mail

	mu   sync.Mutex
	got  []received
	asks int
}

type received struct {
	from string
	to   []string
	text []byte
}

// newOffice starts one, with STARTTLS unless it is told not to have it.
func newOffice(t *testing.T, secure bool) *office {
	t.Helper()
	o := &office{}
	server := smtp.NewServer(o)
	server.Domain, server.MaxMessageBytes, server.ReadTimeout = "localhost", 10<<20, 10*time.Second
	server.AllowInsecureAuth = !secure
	if secure {
		var cert tls.Certificate
		cert, o.roots = newCertificate(t)
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.addr, _ = l.Addr().(*net.TCPAddr)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return o
}

func newCertificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

func (o *office) NewSession(c *smtp.Conn) (smtp.Session, error) {
	return &visit{office: o, line: c}, nil
}

// visit is one connection.
type visit struct {
	office *office
	line   *smtp.Conn
	known  bool
	letter received
}

func (v *visit) AuthMechanisms() []string { return []string{sasl.Plain} }

func (v *visit) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, given string) error {
		if user != "keyturner" || given != password {
			return smtp.ErrAuthFailed
		}
		v.known = true
		return nil
	}), nil
}

func (v *visit) Mail(from string, _ *smtp.MailOptions) error {
	if !v.known {
		return smtp.ErrAuthRequired
	}
	v.letter = received{from: from}
	return nil
}

func (v *visit) Rcpt(to string, _ *smtp.RcptOptions) error {
	v.letter.to = append(v.letter.to, to)
	return nil
}

func (v *visit) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	v.letter.text = text
	v.office.mu.Lock()
	defer v.office.mu.Unlock()
	v.office.asks++
	if v.office.refuse != nil {
		return v.office.refuse
	}
	v.office.got = append(v.office.got, v.letter)
	return err
}

func (v *visit) Reset() {
	if v.office.curt && v.letter.text != nil {
		_ = v.line.Conn().Close()
	}
	v.letter = received{}
}

func (v *visit) Logout() error { return nil }

func (o *office) mail() Mail {
	return Mail{
		Host: "localhost", Port: o.addr.Port, User: "keyturner", Password: password, TLS: &tls.Config{RootCAs: o.roots, MinVersion: tls.VersionTLS12},
		From: "Keyturner <keys@acme.example>", To: []string{"oncall@acme.example", "security@acme.example"},
	}
}

var sample = Digest{
	Week: "2026-W48", Headline: "2 keys need attention in 3 accounts.",
	Rows: []Row{
		{User: "acme-prod/ci_deploy", Key: "…R2T7", Found: "Too old: created on 2026-06-01, and 90 days is the most.", Next: "Owner: Olivia <b>."},
		{User: "acme-prod, the root user", Found: "Has an access key.", Next: "Sign in as root and delete it."},
	},
	Notes:   []Note{{Title: "Not read in full", Lines: []string{"acme-tools (444455556666): the role may not be assumed."}}},
	Picture: []byte("\x89PNG picture"), Alt: "Active keys by age in days: 0–24: 3.", CSV: []byte("account,user\n111122223333,ci_deploy\n"),
}

func TestMail_ArrivesWithAllItsParts(t *testing.T) {
	t.Parallel()
	o := newOffice(t, true)
	for range 2 {
		if err := o.mail().Send(t.Context(), sample); err != nil {
			t.Fatal(err)
		}
	}
	if len(o.got) != 2 || o.got[0].from != "keys@acme.example" || fmt.Sprint(o.got[0].to) != "[oncall@acme.example security@acme.example]" {
		t.Fatalf("received %d mails, the first from %q to %q", len(o.got), o.got[0].from, o.got[0].to)
	}
	head, parts := open(t, o.got[0].text)
	again, _ := open(t, o.got[1].text)
	if id := head.Get("Message-Id"); id != "<digest-2026-w48@acme.example>" || again.Get("Message-Id") != id {
		t.Errorf("Message-ID %q, and %q when it is sent again", id, again.Get("Message-Id"))
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(head.Get("Subject"))
	if want := "Access keys, week 2026-W48: 2 keys need attention in 3 accounts."; subject != want || err != nil {
		t.Errorf("subject %q, %v; want %q", subject, err, want)
	}
	if !bytes.Contains(o.got[0].text, []byte("\nContent-Id: <keys@keyturner>\r\n")) {
		t.Errorf("the picture is not named as the HTML asks for it:\n%s", o.got[0].text)
	}
	for kind, wants := range map[string][]string{
		"text/plain": {sample.Headline, sample.Alt, "* acme-prod/ci_deploy, key …R2T7", "Owner: Olivia <b>.", "- acme-tools (444455556666)"},
		"text/html":  {sample.Headline, `src="cid:keys@keyturner" alt="Active keys`, "acme-prod/ci_deploy<br>…R2T7", "Olivia &lt;b&gt;", "acme-tools (444455556666)"},
		"image/png":  {string(sample.Picture)}, "text/csv": {string(sample.CSV)},
	} {
		for _, want := range wants {
			if !strings.Contains(parts[kind], want) {
				t.Errorf("%s lacks %q:\n%s", kind, want, parts[kind])
			}
		}
	}
}

// open takes a mail apart, by the type of each part.
func open(t *testing.T, text []byte) (netmail.Header, map[string]string) {
	t.Helper()
	m, err := netmail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]string{}
	unpack(t, m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), m.Body, parts)
	return m.Header, parts
}

func unpack(t *testing.T, kind, encoding string, body io.Reader, into map[string]string) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(kind)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(kind, "multipart/") {
		content, err := io.ReadAll(decoded(encoding, body))
		if err != nil {
			t.Fatal(err)
		}
		into[kind] = strings.ReplaceAll(string(content), "\r\n", "\n")
		return
	}
	for r := multipart.NewReader(body, params["boundary"]); ; {
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		unpack(t, part.Header.Get("Content-Type"), part.Header.Get("Content-Transfer-Encoding"), part, into)
	}
}

func decoded(encoding string, r io.Reader) io.Reader {
	switch strings.ToLower(encoding) {
	case "quoted-printable":
		return quotedprintable.NewReader(r)
	case "base64":
		return base64Reader(r)
	}
	return r
}

// TestMail_IsSentOnceItIsTaken: a mail that the server has taken is not sent again, whatever becomes of the connection.
func TestMail_IsSentOnceItIsTaken(t *testing.T) {
	t.Parallel()
	o := newOffice(t, true)
	o.curt = true
	if err := o.mail().Send(t.Context(), sample); err != nil || len(o.got) != 1 {
		t.Errorf("%d mails arrived, error %v", len(o.got), err)
	}
}

func TestMail_TellsWhyItDoesNotGoOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil     func(*office, *Mail)
		insecure  bool
		permanent bool
		says      string
	}{
		"refused for now":     {spoil: func(o *office, _ *Mail) { o.refuse = &smtp.SMTPError{Code: 451, Message: "try later"} }, says: "try later"},
		"refused":             {spoil: func(o *office, _ *Mail) { o.refuse = &smtp.SMTPError{Code: 550, Message: "no such list"} }, permanent: true, says: "no such list"},
		"a wrong password":    {spoil: func(_ *office, m *Mail) { m.Password = "wrong-" + password }, says: "Authentication failed"},
		"no TLS":              {insecure: true, spoil: func(*office, *Mail) {}, says: "STARTTLS"},
		"a strange server":    {spoil: func(_ *office, m *Mail) { m.TLS = nil }, says: "certificate"},
		"nobody is listening": {spoil: func(_ *office, m *Mail) { m.Port = 1 }, says: "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t, !c.insecure)
			m := o.mail()
			c.spoil(o, &m)
			err := m.Send(t.Context(), sample)
			failed, ok := errors.AsType[*SendError](err)
			if !ok || failed.Permanent != c.permanent || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "mail through localhost:") {
				t.Errorf("%v, permanent %v; want one that says %q, permanent %v", err, ok && failed.Permanent, c.says, c.permanent)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %#v %s", err, m, m, m), password) {
				t.Error("the password is told")
			}
			if len(o.got) != 0 {
				t.Errorf("%d mails arrived all the same", len(o.got))
			}
		})
	}
}

func TestMail_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	o := newOffice(t, true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := o.mail().Send(ctx, sample); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it was cancelled", err)
	}
}
