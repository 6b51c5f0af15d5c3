// The AWS half: the accounts as the IAM console would show them, a button per
// key that stands for an application using it, and the calls that were made.

import { applicationItem, tellChanges } from "./application.js";
import { announce, h, icon, sync } from "./dom.js";
import { directory, nameOf } from "./mrkdwn.js";
import { fullOf, relativeOf, timeOf } from "./time.js";

const maxAge = 90;
const changing = new Set([
  "CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey", "CreateUser", "DeleteUser", "TagUser", "UntagUser", "PutUserPolicy", "DeleteUserPolicy",
]);

const ageText = (days) => (days < 1 ? "today" : days < 2 ? "1 day" : `${Math.floor(days)} days`);

function lastUsed(key) {
  if (!key.last_used) return "never";
  const when = new Date(key.last_used);
  const where = [key.service, key.region].filter((part) => part && part !== "N/A").join(" · ");
  return h("span", { title: fullOf(when) }, h("span", { class: "unbroken" }, relativeOf(when), where && ","), " ", where && h("small", { class: "unbroken" }, where));
}

function keyRow(account, user, key, result, app) {
  const active = key.status === "Active";
  const old = active && key.age_days > maxAge;
  const use = h(
    "button",
    {
      type: "button",
      class: "btn tiny",
      "aria-label": `Use now: an application uses ${key.id} of ${user.name}`,
      title: "An application uses it now: it signs one request with this key",
      "data-focus": `use/${key.id}`,
    },
    icon("bolt"),
    "Use now",
  );
  use.addEventListener("click", async () => {
    if (use.getAttribute("aria-busy") === "true") return;
    use.setAttribute("aria-busy", "true");
    const service = key.service && key.service !== "N/A" ? key.service : "s3";
    const region = key.region && key.region !== "N/A" ? key.region : "eu-west-1";
    const answer = await app.use({ account: account.id, key: key.id, service, region });
    use.removeAttribute("aria-busy");
    const text = answer.ok ? `${service} in ${region} answered the application.` : `The application was refused. ${answer.error}`;
    app.tell(key.id, { ok: answer.ok, text });
  });
  return h(
    "li",
    { class: active ? "key" : "key inactive", tabindex: "-1" },
    h(
      "div",
      { class: "key-head" },
      h("code", { class: "key-id" }, key.id),
      h("span", { class: `status ${active ? "on" : "off"}` }, key.status),
      key.by_bot && h("span", { class: "tag bot-made" }, "by Keyturner"),
    ),
    h(
      "div",
      { class: "key-facts" },
      h(
        "dl",
        null,
        h("div", null, h("dt", null, "Age"), h("dd", { class: old && "old" }, ageText(key.age_days), old && h("small", null, `, over ${maxAge}`))),
        h("div", null, h("dt", null, "Last used"), h("dd", null, lastUsed(key))),
      ),
      use,
    ),
    result && h("p", { class: result.ok ? "use-result" : "use-result bad" }, icon(result.ok ? "check" : "warn"), h("span", null, result.text)),
  );
}

/** A user's tags; one that names a member is shown as the owner. */
function tagsOf(user) {
  const all = Object.entries(user.tags ?? {}).sort(([a], [b]) => a.localeCompare(b));
  return all.map(([name, value]) => {
    const owner = directory.members.has(value);
    return { name: owner ? "owner" : name, value: owner ? nameOf(value) : value, title: `Tag ${name} = ${value}` };
  });
}

function userCard(account, user) {
  const tags = tagsOf(user);
  return {
    key: `${account.id}/${user.user_id || user.name}`,
    hash: JSON.stringify([user.name, user.path, tags]),
    build: () =>
      h(
        "section",
        { class: "iam-user", "aria-label": `IAM user ${user.name}`, tabindex: "-1" },
        h(
          "header",
          null,
          icon("user"),
          h("h4", null, user.name),
          user.path && user.path !== "/" && h("span", { class: "path" }, user.path),
          tags.map((tag) => h("span", { class: "tag", title: tag.title }, h("span", null, `${tag.name}: `), tag.value)),
        ),
        h("ul", { class: "keys" }),
        h("div", { class: "applications" }),
      ),
  };
}

function keyItems(account, user, app) {
  const keys = user.keys ?? [];
  if (keys.length === 0) return [{ key: "none", hash: "", build: () => h("li", { class: "no-keys" }, "No access keys") }];
  return keys.map((key) => ({
    key: key.id,
    hash: JSON.stringify([key, key.last_used && relativeOf(new Date(key.last_used)), app.told.get(key.id)]),
    build: () => keyRow(account, user, key, app.told.get(key.id), app),
  }));
}

const spaced = (id) => (/^\d{12}$/.test(id) ? id.replace(/(\d{4})(\d{4})(\d{4})/, "$1 $2 $3") : id);

function accountItem(account) {
  return {
    key: account.id,
    hash: JSON.stringify([account.alias, account.root_key]),
    build: () =>
      h(
        "section",
        { class: "account", "aria-label": `AWS account ${account.alias || account.id}` },
        h(
          "header",
          null,
          h("h3", null, account.alias || "account"),
          h("span", { class: "account-id" }, spaced(account.id)),
          account.root_key && h("span", { class: "status alarm" }, "root user has a key"),
        ),
        h("div", { class: "users" }),
      ),
  };
}

function callItem(call) {
  const failed = call.result !== "ok";
  const change = changing.has(call.op);
  const when = new Date(call.at);
  return {
    key: call.name,
    hash: call.result,
    build: () =>
      h(
        "li",
        { class: `call${change ? " change" : ""}${failed ? " refused" : ""}` },
        h("time", { datetime: call.at, title: fullOf(when) }, timeOf(when)),
        h("span", { class: "op" }, call.op, h("small", null, [call.user, call.key].filter(Boolean).join(" · "))),
        h("span", { class: "result" }, failed ? call.result : "ok"),
      ),
  };
}

/** Mounts the panel in root. app needs use({account, key, service, region}) and move(application, key). */
export function mountAWS(root, { use, move }) {
  const $ = (name) => root.querySelector(`[data-part=${name}]`);
  const [accounts, calls, count, only, filter] = ["accounts", "calls", "count", "only", "filter"].map($);
  const before = new Map();
  const told = new Map();
  const changes = new Map(); // every change seen: AWS itself lists recent calls only
  const app = { use, move, told, tell };
  let last = null;
  let running = [];
  only.addEventListener("change", () => drawCalls(last));
  filter.addEventListener("input", () => render(last, running));

  /** The users of an account that the filter lets through. */
  function usersOf(account) {
    const wanted = filter.value.trim().toLowerCase();
    const words = (user) => [user.name, ...tagsOf(user).map((tag) => tag.value), ...(user.keys ?? []).flatMap((key) => [key.id, key.status])];
    return (account.users ?? []).filter((user) => words(user).some((word) => word.toLowerCase().includes(wanted)));
  }

  function drawCalls(state) {
    const numbered = new Map();
    const recent = (state.calls ?? []).map((call) => {
      const name = `${call.at}/${call.op}/${call.user}/${call.key}`;
      numbered.set(name, (numbered.get(name) ?? 0) + 1);
      return { ...call, name: `${name}/${numbered.get(name)}` };
    });
    for (const call of recent) if (changing.has(call.op)) changes.set(call.name, call);
    count.textContent = `${recent.length} recent, ${changes.size} changed something`;
    const items = (only.checked ? [...changes.values()] : recent).map(callItem);
    const empty = { key: "none", hash: "", build: () => h("li", { class: "muted" }, only.checked ? "Nothing has been changed yet." : "No calls yet.") };
    sync(calls, items.length ? items.reverse() : [empty]);
  }

  /** Says under a key for some seconds how its use went. */
  function tell(id, result) {
    told.set(id, result);
    announce(result.text);
    render(last, running);
    setTimeout(() => {
      if (told.get(id) !== result) return;
      told.delete(id);
      render(last, running);
    }, 8000);
  }

  /** Draws the state; returns whether a key or an application has changed. */
  function render(state, applications) {
    const told = tellChanges(running, applications);
    last = state;
    running = applications;
    const list = state.accounts ?? [];
    const now = new Map();
    sync(accounts, list.map(accountItem));
    list.forEach((account, i) => {
      const users = accounts.children[i].querySelector(".users");
      const shown = usersOf(account);
      sync(users, shown.map((user) => userCard(account, user)));
      for (const key of (account.users ?? []).flatMap((user) => user.keys ?? [])) now.set(key.id, key.status);
      shown.forEach((user, j) => {
        const keys = users.children[j].querySelector(".keys");
        sync(keys, keyItems(account, user, app));
        (user.keys ?? []).forEach((key, k) => {
          if (before.size > 0 && before.get(key.id) !== now.get(key.id)) keys.children[k].classList.add("changed");
        });
        const own = applications.filter((it) => it.account === account.id && it.user === user.name);
        sync(users.children[j].querySelector(".applications"), own.map((it) => applicationItem(it, user.keys ?? [], app)));
      });
    });
    const changed = before.size > 0 && (now.size !== before.size || [...now].some(([id, mark]) => before.get(id) !== mark));
    before.clear();
    for (const [id, mark] of now) before.set(id, mark);
    drawCalls(state);
    return changed || told;
  }

  /** Leads the eye and the focus to the newest key that the bot made, and to what is to use it. */
  function point() {
    const row = [...accounts.querySelectorAll(".key")].findLast((key) => key.querySelector(".bot-made"));
    row?.closest(".iam-user").scrollIntoView({ block: "nearest" });
    if (!row) return root.querySelector(".aws-body").focus();
    row.classList.remove("changed");
    row.scrollIntoView({ block: "nearest" });
    row.querySelector(".btn").focus();
    requestAnimationFrame(() => row.classList.add("changed"));
  }

  return { render, point };
}
