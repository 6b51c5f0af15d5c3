package report

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func base64Reader(r io.Reader) io.Reader { return base64.NewDecoder(base64.StdEncoding, r) }

// teams is a workflow that answers with a status and keeps what it was sent.
func teams(t *testing.T, status int) (*Teams, *[]byte) {
	t.Helper()
	got := new([]byte)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if kind := r.Header.Get("Content-Type"); kind != "application/json" || r.Method != http.MethodPost {
			t.Errorf("%s of %s", r.Method, kind)
		}
		*got, _ = io.ReadAll(r.Body)
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	sink, err := NewTeams(server.URL + "/workflows/1?sig=very-secret")
	if err != nil {
		t.Fatal(err)
	}
	return sink, got
}

func TestTeams_CardSaysTheDigest(t *testing.T) {
	t.Parallel()
	sink, got := teams(t, http.StatusAccepted)
	if err := sink.Send(t.Context(), sample); err != nil {
		t.Fatal(err)
	}
	var sent struct {
		Type        string
		Attachments []struct {
			ContentType string
			Content     struct {
				Type, Version string
				Body          []json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(*got, &sent); err != nil {
		t.Fatal(err)
	}
	if sent.Type != "message" || len(sent.Attachments) != 1 || sent.Attachments[0].ContentType != "application/vnd.microsoft.card.adaptive" ||
		sent.Attachments[0].Content.Type != "AdaptiveCard" || sent.Attachments[0].Content.Version != "1.4" {
		t.Errorf("the envelope is %+v", sent)
	}
	for _, want := range []string{sample.Headline, "Active keys by age", `acme-prod/ci\\_deploy, key …R2T7`, "Sign in as root", "acme-tools (444455556666)"} {
		if !strings.Contains(string(*got), want) {
			t.Errorf("the card lacks %q: %s", want, *got)
		}
	}
}

// TestTeams_CardIsBounded: Teams refuses more than 28 KB.
func TestTeams_CardIsBounded(t *testing.T) {
	t.Parallel()
	sink, got := teams(t, http.StatusAccepted)
	d := sample
	d.More = 9950
	for range 48 {
		d.Rows = append(d.Rows, Row{User: strings.Repeat("u", 64), Key: "…R2T7", Found: strings.Repeat("f", 500), Next: strings.Repeat("n", 500)})
	}
	d.Notes = nil
	for range 20 {
		n := Note{Title: "A list"}
		for range 100 {
			n.Lines = append(n.Lines, strings.Repeat("l", 500))
		}
		d.Notes = append(d.Notes, n)
	}
	if err := sink.Send(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if len(*got) > 28<<10 || !strings.Contains(string(*got), "more, which are in the file below the digest in Slack.") {
		t.Errorf("a card of %d bytes", len(*got))
	}
}

func TestTeams_TellsWhyItDoesNotGoOut(t *testing.T) {
	t.Parallel()
	for status, permanent := range map[int]bool{
		http.StatusTooManyRequests: false, http.StatusBadGateway: false, http.StatusNotFound: true, http.StatusUnauthorized: true, http.StatusFound: true,
	} {
		sink, _ := teams(t, status)
		err := sink.Send(t.Context(), sample)
		failed, ok := errors.AsType[*SendError](err)
		if !ok || failed.Permanent != permanent || !strings.Contains(err.Error(), fmt.Sprint(status)) {
			t.Errorf("%d: %v, want permanent %v", status, err, permanent)
		}
		if strings.Contains(fmt.Sprintf("%v %+v %#v", err, sink, sink), "very-secret") {
			t.Errorf("%d: the URL is told: %v", status, err)
		}
	}
	sink, err := NewTeams("http://127.0.0.1:1/?sig=very-secret")
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Send(t.Context(), sample); err == nil || strings.Contains(err.Error(), "very-secret") {
		t.Errorf("nobody is listening: %v", err)
	}
}

func TestNewTeams_WantsTLS(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"", "http://example.com/x?sig=very-secret", "ftp://x", "https://", "://very-secret"} {
		if _, err := NewTeams(u); err == nil || strings.Contains(err.Error(), "very-secret") {
			t.Errorf("%q: %v", u, err)
		}
	}
}
