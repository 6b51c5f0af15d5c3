// The applications of the AWS half: what runs as an IAM user, which of the
// user's keys it signs with, and how that goes. A person moves it to another key.

import { announce, complain, h, icon } from "./dom.js";

const shortOf = (id) => `${id.slice(0, 4)}…${id.slice(-4)}`;

/** The keys to choose from: the user's, and the one in use even if it is gone. */
function choices(application, keys) {
  const known = keys.map((key) => ({ id: key.id, note: key.status === "Active" ? "" : key.status.toLowerCase() }));
  if (keys.some((key) => key.id === application.key)) return known;
  return [...known, { id: application.key, note: "deleted" }];
}

function choice(application, key, pick) {
  const mine = key.id === application.key;
  const box = h("input", {
    type: "radio",
    name: `application/${application.user}`,
    value: key.id,
    checked: mine,
    disabled: key.note === "deleted" && !mine,
    "data-focus": `application/${application.user}/${key.id}`,
  });
  box.addEventListener("change", () => pick(key.id));
  return h("label", { class: "choice", title: key.id }, box, h("code", { class: "key-id" }, shortOf(key.id)), key.note && h("small", null, key.note));
}

/** An item for dom.sync. app needs move(application, key) => Promise<{ok, error}>. */
export function applicationItem(application, keys, app) {
  const list = choices(application, keys);
  const alone = list.length === 1 && list[0].note !== "deleted";
  const pick = async (key) => {
    const answer = await app.move(application, key);
    if (!answer.ok) complain(answer.error);
  };
  return {
    key: application.user,
    hash: JSON.stringify([application, list]),
    build: () =>
      h(
        "div",
        { class: application.ok ? "application" : "application bad", "data-application": application.user, tabindex: "-1" },
        h(
          "p",
          { class: "application-head" },
          icon("server"),
          h("b", null, application.name),
          h("span", { class: `status ${application.ok ? "on" : "alarm"}` }, application.ok ? "works" : "fails"),
          alone && h("span", { class: "muted" }, "with this key"),
        ),
        !alone && h(
          "div",
          { class: "application-keys", role: "radiogroup", "aria-label": `The ${application.name} of ${application.user} uses` },
          h("span", { class: "muted" }, "This application uses"),
          list.map((key) => choice(application, key, pick)),
        ),
        !application.ok && h("p", { class: "use-result bad" }, icon("warn"), h("span", null, application.error)),
      ),
  };
}

/** Says aloud which applications have begun or ceased to work; tells whether any has. */
export function tellChanges(before, now) {
  let changed = false;
  for (const application of now) {
    const was = before.find((it) => it.user === application.user);
    if (!was || was.ok === application.ok) continue;
    changed = true;
    announce(application.ok ? `The ${application.name} of ${application.user} works again.` : `The ${application.name} of ${application.user} fails: ${application.error}`);
  }
  return changed;
}
