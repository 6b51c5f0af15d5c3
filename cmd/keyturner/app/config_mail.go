package app

import (
	"errors"
	"fmt"
	"net/mail"
	"regexp"
	"strconv"
	"strings"

	"github.com/keyturner/keyturner/bot"
	"github.com/keyturner/keyturner/bot/report"
)

// Mail says where the digest goes by mail.
type Mail struct {
	Host string
	Port int    // default 587
	User string // the password comes from SMTP_PASSWORD; empty: the server asks for none
	From string // an address, with or without a name
	To   []string
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)

func (in *reader) mail(root section, cfg *Config) {
	if _, there := root.values["mail"]; !there {
		return
	}
	s, ok := root.child("mail")
	if !ok {
		in.missing(root, "mail", "mail: with host, from and to")
		return
	}
	m := &Mail{Port: 587}
	host, at, ok := s.text("host", "the SMTP server, as in smtp.example.com", true)
	if ok && !hostName.MatchString(host) {
		in.fail(at, "host "+shown(host)+" is not the name of a host", "it without a port, as in smtp.example.com")
	}
	m.Host = host
	if text, at, ok := s.text("port", "587", false); ok {
		port, err := strconv.Atoi(text)
		if err != nil || port < 1 || port > 65535 {
			in.fail(at, "port "+shown(text)+" is not a port", "587 for STARTTLS, or 465 for TLS from the start")
		}
		m.Port = port
	}
	m.User, _, _ = s.text("user", "the name to sign in with", false)
	if text, at, ok := s.text("from", "keyturner@example.com", true); ok {
		m.From = in.address(text, at, "from")
	}
	const example = "at least one address, as in [oncall@example.com]"
	nodes := s.list("to")
	if len(nodes) == 0 && in.sound() {
		in.lacks.note(s.at, "to has no address", "to: "+example)
	}
	for _, node := range nodes {
		if text, at, ok := in.text(node, "member of to", example); ok {
			m.To = append(m.To, in.address(text, at, "to"))
		}
	}
	cfg.Mail = m
}

// address checks an address as RFC 5322 has it.
func (in *reader) address(text string, at position, name string) string {
	if _, err := mail.ParseAddress(text); err != nil {
		in.fail(at, shown(text)+" in "+name+" is not a mail address", "one as in oncall@example.com")
	}
	return text
}

// summary says where the mail goes.
func (m Mail) summary() string {
	return fmt.Sprintf("mail to %s, from %s, through %s:%d", strings.Join(m.To, ", "), m.From, m.Host, m.Port)
}

// Sinks are where the digest goes beside Slack: by mail if the configuration says so, with the password in SMTP_PASSWORD, and to Microsoft
// Teams if TEAMS_WEBHOOK_URL is set. Each may come from the file named by the same variable with _FILE added. Neither is in the error.
func Sinks(cfg Config, getenv func(string) string) ([]bot.Sink, error) {
	var sinks []bot.Sink
	password, given, err := secret(getenv, "SMTP_PASSWORD")
	m := cfg.Mail
	switch {
	case err != nil:
		return nil, err
	case m == nil && given:
		return nil, errors.New("SMTP_PASSWORD is set, and the configuration has no mail; write mail there, or take it away")
	case m != nil && m.User != "" && !given:
		return nil, errors.New("mail has a user, and SMTP_PASSWORD is not set; set it, or SMTP_PASSWORD_FILE to a file with it")
	case m != nil:
		sinks = append(sinks, report.Mail{Host: m.Host, Port: m.Port, User: m.User, Password: password, From: m.From, To: m.To})
	}
	webhook, given, err := secret(getenv, "TEAMS_WEBHOOK_URL")
	if err != nil || !given {
		return sinks, err
	}
	teams, err := report.NewTeams(webhook)
	if err != nil {
		return nil, fmt.Errorf("TEAMS_WEBHOOK_URL: %w", err)
	}
	return append(sinks, teams), nil
}

// secret is the value of a variable, or of the file that the same variable with _FILE added names.
func secret(getenv func(string) string, name string) (value string, given bool, err error) {
	value, file := getenv(name), getenv(name+"_FILE")
	switch {
	case value != "" && file != "":
		return "", false, fmt.Errorf("%s and %s_FILE are both set; set one of them", name, name)
	case file == "":
		return value, value != "", nil
	}
	if value, err = readToken(file); err != nil {
		return "", false, fmt.Errorf("the file of %s_FILE cannot be read: %w; set it to the path of a file with the value", name, err)
	}
	if value = strings.TrimSpace(value); value == "" {
		return "", false, fmt.Errorf("the file of %s_FILE is empty; write the value into it", name)
	}
	return value, true, nil
}
