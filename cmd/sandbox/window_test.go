package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chromium finds a browser on the PATH. Without one the test is skipped, unless KEYTURNER_REQUIRE=all asks for every optional tool.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const missing = "there is no chromium, chromium-browser or google-chrome on the PATH"
	if os.Getenv("KEYTURNER_REQUIRE") == "all" {
		t.Fatal("KEYTURNER_REQUIRE=all, and " + missing)
	}
	t.Skip(missing)
	return ""
}

// startBrowser starts a browser that talks to nobody, and returns the context that windows are opened in.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(t)), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.WSURLReadTimeout(2*time.Minute))
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, closeIt := chromedp.NewContext(ctx)
	t.Cleanup(closeIt)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	return ctx
}

// window is one person's browser window with the page of a world in it.
type window struct {
	t      *testing.T
	w      *world
	member string
	ctx    context.Context // chromedp keeps the window in it

	mu       sync.Mutex
	problems []string
	policy   string // the Content-Security-Policy of the page
}

// openWindow opens the page as a member, in a window that shares nothing with others. When the test ends it fails if the page said
// something was wrong, or asked any other machine for anything.
func openWindow(browser context.Context, t *testing.T, w *world, member string) *window {
	t.Helper()
	win := &window{t: t, w: w, member: member}
	ctx, closeIt := chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(win.hear))
	win.ctx = ctx
	t.Cleanup(func() {
		closeIt()
		win.mu.Lock()
		defer win.mu.Unlock()
		for _, p := range win.problems {
			t.Errorf("the page of %s: %s", member, p)
		}
		if !strings.Contains(win.policy, "default-src 'none'") || !strings.Contains(win.policy, "script-src 'self';") {
			t.Errorf("the page's Content-Security-Policy is %q", win.policy)
		}
	})
	win.must(chromedp.Do(ctx, chromedp.EmulateViewport(1280, 860)))
	_, err := chromedp.Call(ctx, network.Enable, network.EnableParams{})
	win.must(err)
	_, err = chromedp.Call(ctx, log.Enable, cdp.Empty{})
	win.must(err)
	win.must(chromedp.Do(ctx, chromedp.Navigate(w.pageURL+"/?as="+member)))
	return win
}

// hear notes what must not be.
func (win *window) hear(ev any) {
	problem := ""
	switch e := ev.(type) {
	case *runtime.EventExceptionThrown:
		problem = fmt.Sprintf("exception: %+v", e.ExceptionDetails)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			problem = fmt.Sprintf("console: %s", e.Type)
			for _, a := range e.Args {
				problem += " " + string(a.Value) + a.Description
			}
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			problem = "log: " + e.Entry.Text + " " + e.Entry.URL
		}
	case *network.EventRequestWillBeSent:
		if !staysHere(e.Request.URL) {
			problem = "request to " + e.Request.URL
		}
	case *network.EventResponseReceived:
		if e.Type == network.ResourceTypeDocument {
			win.mu.Lock()
			win.policy = headerOf(e.Response.Headers, "Content-Security-Policy")
			win.mu.Unlock()
		}
	}
	if problem != "" {
		win.mu.Lock()
		win.problems = append(win.problems, problem)
		win.mu.Unlock()
	}
}

func staysHere(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "data" || u.Scheme == "about" || (ip != nil && ip.IsLoopback())
}

func headerOf(headers network.Headers, name string) string {
	for k, v := range headers {
		if strings.EqualFold(k, name) {
			return fmt.Sprint(v)
		}
	}
	return ""
}

func (win *window) must(err error) {
	win.t.Helper()
	if err != nil {
		win.t.Fatal(err)
	}
}

// windowPatience is how long a person looks at the page for what should appear. It is for a machine that is busy with other things.
const windowPatience = 90 * time.Second

// await waits until a JavaScript expression is true in the page.
func (win *window) await(what, expression string) {
	win.t.Helper()
	ctx, cancel := context.WithTimeout(win.ctx, windowPatience)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`new Promise((resolve) => {
		const look = () => ((`+expression+`) ? resolve(true) : setTimeout(look, 50));
		look();
	})`, chromedp.EvalAwaitPromise))
	if err != nil {
		for _, place := range []string{"key-approvals", dm} {
			win.t.Logf("what Slack has for %s in %s:%s", win.member, place, texts(win.w.slack.As(win.member).Screen(), place))
		}
		win.t.Fatalf("wait for %s: %v; the page shows:\n%s", what, err, win.text())
	}
}

func (win *window) text() string {
	ctx, cancel := context.WithTimeout(win.ctx, windowPatience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return text
}

// shows waits until an element of that selector that can be seen holds the words.
func (win *window) shows(selector, words string) {
	win.t.Helper()
	win.await(fmt.Sprintf("%s with %q", selector, words),
		fmt.Sprintf(`[...document.querySelectorAll(%s)].some((it) => it.checkVisibility() && it.textContent.includes(%s))`, quote(selector), quote(words)))
}

// hides waits until no element of that selector holds the words.
func (win *window) hides(selector, words string) {
	win.t.Helper()
	win.await(fmt.Sprintf("no %s with %q", selector, words),
		fmt.Sprintf(`![...document.querySelectorAll(%s)].some((it) => it.textContent.includes(%s))`, quote(selector), quote(words)))
}

// click waits for the last element of that selector with the words that a person could click, which nothing covers, and clicks it.
func (win *window) click(selector, words string) {
	win.t.Helper()
	win.await(fmt.Sprintf("%s with %q, to click", selector, words), fmt.Sprintf(`[...document.querySelectorAll(%s)].reverse().some((it) => {
		if (!it.checkVisibility() || !it.textContent.includes(%s) || it.disabled || it.getAttribute("aria-busy") === "true") return false;
		it.scrollIntoView({ block: "center", behavior: "instant" });
		const box = it.getBoundingClientRect();
		const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
		if (!top || !it.contains(top)) return false;
		it.focus();
		it.click();
		return true;
	})`, quote(selector), quote(words)))
}

// types puts the focus in an element and presses keys.
func (win *window) types(selector, keys string) {
	win.t.Helper()
	win.await(selector+" to type in", fmt.Sprintf(`(() => { const it = document.querySelector(%s); it?.focus(); return it && document.activeElement === it; })()`, quote(selector)))
	win.presses(keys)
}

func (win *window) presses(keys string) {
	win.t.Helper()
	ctx, cancel := context.WithTimeout(win.ctx, windowPatience)
	defer cancel()
	win.must(chromedp.Do(ctx, chromedp.KeyEvent(keys)))
}

// quote writes a Go string as a JavaScript one.
func quote(s string) string { return strconv.Quote(s) }
