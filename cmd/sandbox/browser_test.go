package main

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

var update = flag.Bool("update", false, "rewrite screenshot.png and the transcripts")

const (
	channelEntry = ".sidebar .entry"
	button       = ".message .btn"
	confirmation = "dialog.confirm"
)

// markup is a reason that would be more than words if it were taken for HTML or for a script.
const markup = `<img src=x onerror="window.hurt=1"><script>window.hurt=2</script><b>freeze & thaw</b>`

// TestBrowser_TwoPeopleRotateAKey is a whole rotation by clicks of two people in two windows, with the bot killed on the way.
func TestBrowser_TwoPeopleRotateAKey(t *testing.T) {
	browser := startBrowser(t)
	s := beginWith(t, settings{applications: true})
	old := s.keyOf("ci-deploy", false)
	anas := openWindow(browser, t, s.w, ana)
	carols := openWindow(browser, t, s.w, carol)

	// Ana asks, by the keyboard as far as it goes.
	anas.shows(channelEntry, "general")
	anas.types("#composer-box", "/rotate-key"+kb.Enter)
	anas.shows("dialog.view h2", "Rotate a key")
	anas.click("dialog.view .choice", " of ci-deploy in ")
	anas.types("dialog.view textarea", markup)
	anas.click("dialog.view .btn", "Send the request")
	anas.shows("dialog.view", "has begun")
	anas.presses(kb.Escape)
	anas.await("the modal to close", `!document.querySelector("dialog[open]")`)

	// Carol reads Ana's words as words, and approves.
	carols.click(channelEntry, "key-approvals")
	carols.shows(".message .content", markup)
	carols.await("nothing but text of it", `!window.hurt && !document.querySelector(".content img, .content script, .content b")`)
	carols.click(button, "Create the new key")

	// Ana sees the secret once, and stores it.
	anas.click(channelEntry, "Keyturner")
	anas.shows(".message pre", "AWS_SECRET_ACCESS_KEY=")
	anas.click(button, "I have stored it")
	anas.hides(".message", "AWS_SECRET_ACCESS_KEY=")
	anas.shows(".message", "You have stored the secret")

	// The build server uses the old key until it is given the new one.
	fresh := s.keyOf("ci-deploy", true)
	anas.click(button, "My applications use the new key")
	anas.shows(".message.ephemeral", "This cannot be done yet")
	anas.click(`[data-application="ci-deploy"] .choice`, short(fresh.ID))
	carols.await("the application on the new key in the other window", chosen("ci-deploy", fresh.ID))
	anas.click(".clock .btn", "1 day")
	anas.click(button, "My applications use the new key")

	// Carol approves while the bot is dead, and again when it is back.
	carols.shows(button, "Deactivate "+short(old.ID))
	if *update {
		photograph(carols)
	}
	carols.click("#breaker", "")
	carols.click("#faults .fault", "The bot is killed")
	anas.shows("#broken", "The bot is killed")
	carols.presses(kb.Escape)
	carols.agrees("Deactivate " + short(old.ID))
	carols.shows(".message .failed", "This app did not respond")
	carols.click("#broken .btn", "Start it again")
	carols.await("the strip to go", `document.querySelector("#broken").hidden`)
	s.must(s.w.ready(s.ctx))
	carols.agrees("Deactivate " + short(old.ID))
	carols.shows(keyRow(old.ID), "Inactive")
	anas.shows(keyRow(old.ID), "Inactive")

	// Nobody misses it.
	carols.click(".clock .btn", "7 days")
	carols.agrees("Delete " + short(old.ID))
	anas.hides(".key", old.ID)
	anas.shows(".message", "is deleted")
	anas.shows(`[data-application="ci-deploy"]`, "works")
	if n := s.changes("DeleteAccessKey"); n != 1 {
		t.Errorf("%d keys were deleted, want 1", n)
	}
	if n := s.changes("CreateAccessKey"); n != 1 {
		t.Errorf("%d keys were created, want 1", n)
	}
}

// TestBrowser_GuidedTour has the page do every step of its tour.
func TestBrowser_GuidedTour(t *testing.T) {
	if testing.Short() {
		t.Skip("go test plays it, and the race detector hears the same program in the stories")
	}
	browser := startBrowser(t)
	s := beginWith(t, settings{applications: true})
	old := s.keyOf("ci-deploy", false)
	win := openWindow(browser, t, s.w, ana)
	win.shows(".step-count", "1 of ")
	for range 40 {
		const state = `document.querySelector(".step-count").textContent`
		count, err := chromedp.Run(win.ctx, chromedp.Evaluate[string](state))
		win.must(err)
		if count == "Done" {
			break
		}
		win.click(".guide .btn", "Do it for me")
		win.await("the step after "+count, fmt.Sprintf(`%s !== %s && !document.querySelector(".guide .btn[aria-busy]") || document.querySelector(".toast")`, state, quote(count)))
		win.hides(".toast", "")
	}
	win.shows(".guide", "That was a whole rotation.")
	win.hides(".key", old.ID)
	s.stop()
	if n := s.changes("DeleteAccessKey"); n != 1 {
		t.Errorf("%d keys were deleted, want 1", n)
	}
}

// short is a key's id as people are shown it.
func short(id string) string { return id[:4] + "…" + id[len(id)-4:] }

// keyRow selects the row of a key in the AWS panel.
func keyRow(id string) string { return fmt.Sprintf(`.key:has([data-focus="use/%s"])`, id) }

// chosen is true in the page if it shows that the application of a user uses a key.
func chosen(user, key string) string {
	return fmt.Sprintf(`document.querySelector('[data-application="%s"] input:checked')?.value === %s`, user, quote(key))
}

// agrees clicks what is asked about once more, and says yes by the keyboard.
func (win *window) agrees(label string) {
	win.t.Helper()
	win.click(button, label)
	win.shows(confirmation, label+"?")
	win.presses(kb.Tab)
	win.await("the focus on the answer that goes on", fmt.Sprintf(`document.activeElement.matches(%s)`, quote(confirmation+" .danger")))
	win.presses(kb.Enter)
	win.await("the question to go", `!document.querySelector("dialog.confirm")`)
}

// photograph writes the picture that the README shows.
func photograph(win *window) {
	win.t.Helper()
	win.await("the new key in sight", `(() => {
		document.querySelector(".key:has(.bot-made)").closest(".iam-user").scrollIntoView({ block: "center" });
		const list = document.querySelector(".scroller");
		list.scrollTop = list.scrollHeight;
		document.activeElement.blur();
		return document.getAnimations().filter((it) => it.playState === "running").length === 0;
	})()`)
	picture, err := chromedp.Run(win.ctx, chromedp.CaptureScreenshot())
	win.must(err)
	win.must(os.WriteFile("screenshot.png", picture, 0o644))
}
