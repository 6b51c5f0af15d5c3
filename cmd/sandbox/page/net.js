// The three ways the page talks to its server: read a state, post what a person
// did, and listen for changes.

/** Reads a JSON document. */
export async function getJSON(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return answer.json();
}

/**
 * Posts JSON with the header that a cross-site form cannot send. Never throws:
 * a server that is away answers {ok: false, error}.
 */
export async function postJSON(path, body) {
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Sandbox": "1" },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    try {
      return { ok: answer.ok, ...JSON.parse(text) };
    } catch {
      return { ok: false, error: text.trim() || `the sandbox answered ${answer.status}` };
    }
  } catch {
    return { ok: false, error: "The sandbox does not answer. Is it still running?" };
  }
}

/**
 * Follows /events for as long as the page is open. onChange gets every
 * {slack, aws, now}; onLink gets true or false as the connection comes and goes.
 */
export function follow(onChange, onLink) {
  const source = new EventSource("/events");
  source.onopen = () => onLink(true);
  source.onmessage = (event) => onChange(JSON.parse(event.data));
  source.onerror = () => {
    onLink(false);
    if (source.readyState !== EventSource.CLOSED) return;
    setTimeout(() => follow(onChange, onLink), 2000);
  };
}

/**
 * Wraps an async load so that calls made while it runs become one more run
 * after it: however many changes arrive, the last state is what is shown.
 */
export function coalesce(load) {
  let running = null;
  let again = false;
  return function pull() {
    if (running) {
      again = true;
      return running;
    }
    running = (async () => {
      do {
        again = false;
        await load();
      } while (again);
    })().finally(() => {
      running = null;
    });
    return running;
  };
}
