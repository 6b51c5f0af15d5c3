package report

import (
	"bytes"
	"context"
	"crypto/tls"
	_ "embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"strings"
	"text/template"

	"github.com/wneessen/go-mail"
)

// Mail sends digests through an SMTP server, over TLS, or not at all. What reaches the server twice has the same Message-ID, by which mail
// programs show it once.
type Mail struct {
	Host     string
	Port     int    // 465 for TLS from the start; any other for STARTTLS
	User     string // empty: the server asks for none
	Password string // never told
	From     string
	To       []string
	TLS      *tls.Config // nil: the system's roots
}

// Name is mail.
func (m Mail) Name() string { return "mail" }

// String names the sink without its password.
func (m Mail) String() string { return fmt.Sprintf("mail through %s:%d", m.Host, m.Port) }

// GoString is String: a Mail that is printed shows no password, however it is printed.
func (m Mail) GoString() string { return m.String() }

var (
	//go:embed mail.txt.tmpl
	mailText string
	//go:embed mail.html.tmpl
	mailHTML string

	asText = template.Must(template.New("mail.txt").Parse(mailText))
	asHTML = htmltemplate.Must(htmltemplate.New("mail.html").Parse(mailHTML))
)

// letter is what the templates show.
type letter struct {
	Title, Headline, Rest string
	Rows                  []Row
	Notes                 []Note
	HasPicture            bool
	Alt                   string
}

// maxAttached bounds the attached file: servers refuse mails of more than some 10 MB, as they travel.
const maxAttached = 7 << 20

// attached tells whether the file goes with the mail.
func (d Digest) attached() bool { return d.CSV != nil && len(d.CSV) <= maxAttached }

func letterOf(d Digest) letter {
	file := "the file"
	if !d.attached() {
		file = inSlack
	}
	rows, rest := d.first(MaxRows, file)
	return letter{Title: d.title(), Headline: d.Headline, Rows: rows, Rest: rest, Notes: d.Notes, HasPicture: d.Picture != nil, Alt: d.Alt}
}

// The picture's name, and the identifier by which the HTML names it: without the brackets (RFC 2045, section 7), some programs do not find it.
const (
	pictureName = "keys.png"
	pictureID   = "<keys@keyturner>"
)

// Send sends the digest to everyone in To as one mail: HTML and text, with the picture in it and the file attached.
func (m Mail) Send(ctx context.Context, d Digest) error {
	msg, err := m.message(d)
	if err != nil {
		return fmt.Errorf("write the mail of week %s: %w", d.Week, err)
	}
	client, err := mail.NewClient(m.Host, m.options()...)
	if err != nil {
		return fmt.Errorf("prepare %s: %w", m, err)
	}
	if err := client.DialAndSendWithContext(ctx, msg); err != nil && !msg.IsDelivered() { // a line that breaks after that breaks nothing
		return &SendError{Sink: m.String(), Err: err, Permanent: permanent(err)}
	}
	return nil
}

// SendError is a digest that did not go out.
type SendError struct {
	Sink      string
	Err       error
	Permanent bool // trying again without a change does not help
}

func (e *SendError) Error() string { return fmt.Sprintf("send the digest: %s: %v", e.Sink, e.Err) }
func (e *SendError) Unwrap() error { return e.Err }

func permanent(err error) bool {
	failed, ok := errors.AsType[*mail.SendError](err)
	return ok && failed.ErrorCode() >= 500
}

func (m Mail) options() []mail.Option {
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12}
	if m.TLS != nil {
		tlsConfig = m.TLS.Clone()
	}
	tlsConfig.ServerName = m.Host
	opts := []mail.Option{mail.WithPort(m.Port), mail.WithTLSPolicy(mail.TLSMandatory), mail.WithTLSConfig(tlsConfig), mail.WithoutNoop()}
	if m.Port == implicitTLS {
		opts = append(opts, mail.WithSSL())
	}
	if m.User != "" {
		opts = append(opts, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(m.User), mail.WithPassword(m.Password))
	}
	return opts
}

// implicitTLS is the port on which TLS comes first (RFC 8314, section 3.3).
const implicitTLS = 465

func (m Mail) message(d Digest) (*mail.Msg, error) {
	l := letterOf(d)
	msg := mail.NewMsg()
	if err := errors.Join(msg.From(m.From), msg.To(m.To...)); err != nil {
		return nil, err
	}
	msg.Subject(d.title() + ": " + clip(d.Headline, 120))
	msg.SetMessageIDWithValue("digest-" + strings.ToLower(d.Week) + "@" + m.domain())
	msg.SetBulk()
	msg.SetUserAgent("keyturner")
	if err := msg.SetBodyTextTemplate(asText, l); err != nil {
		return nil, err
	}
	if err := msg.AddAlternativeHTMLTemplate(asHTML, l); err != nil {
		return nil, err
	}
	if d.Picture != nil {
		err := msg.EmbedReader(pictureName, bytes.NewReader(d.Picture), mail.WithFileContentID(pictureID), mail.WithFileContentType("image/png"))
		if err != nil {
			return nil, err
		}
	}
	if d.attached() {
		name := "keys-" + d.Week + ".csv"
		if err := msg.AttachReader(name, bytes.NewReader(d.CSV), mail.WithFileContentType("text/csv; charset=utf-8")); err != nil {
			return nil, err
		}
	}
	return msg, nil
}

func (m Mail) domain() string {
	_, domain, _ := strings.Cut(m.From, "@")
	return strings.TrimRight(domain, "> ")
}
