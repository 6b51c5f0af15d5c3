// The Slack half: what the chosen person sees of the open conversation, its
// thread, and the Home tab of the app.

import { mountComposer } from "./composer.js";
import { h, icon, sync } from "./dom.js";
import { directory } from "./mrkdwn.js";
import { homeItems, messageItems, threadOf, topLevel } from "./messages.js";
import { avatar } from "./people.js";
import { mountSidebar, titleOf } from "./sidebar.js";

const near = 90;

/** The ts of the first message that is new to the reader, or "". */
function firstUnread(channel, me) {
  const others = topLevel(channel.messages).filter((message) => message.user !== me && !message.deleted);
  return others.at(-channel.unread)?.ts ?? "";
}

/**
 * Mounts the workspace in root. app needs place (the open conversation),
 * open(channel), openTab(tab), openThread(ts), say(text), read(channel), ctx.
 */
export function mountWorkspace(root, app) {
  const $ = (name) => root.querySelector(`[data-part=${name}]`);
  const [list, replies, home, header, tabs] = ["list", "replies", "home", "header", "tabs"].map($);
  const [thread, drawer, pill, scroller] = ["thread", "drawer", "pill", "scroller"].map($);
  const sidebar = mountSidebar($("sidebar"), {
    open: (channel) => {
      showDrawer(false);
      app.open(channel);
    },
  });
  const composer = mountComposer($("composer"), app);
  const seen = { place: "", newFrom: "", last: "", home: "", scrolls: new Map() };

  function showDrawer(open) {
    root.classList.toggle("drawer-open", open);
    drawer.setAttribute("aria-expanded", String(open));
    if (open) $("sidebar").querySelector("[aria-current]")?.focus();
  }

  drawer.addEventListener("click", () => showDrawer(!root.classList.contains("drawer-open")));
  $("shade").addEventListener("click", () => showDrawer(false));
  $("close-thread").addEventListener("click", () => app.openThread(""));
  pill.addEventListener("click", () => toBottom(true));
  let held = true; // at the bottom, and kept there when the room shrinks
  new ResizeObserver(() => held && toBottom(false)).observe(scroller);
  scroller.addEventListener("scroll", () => {
    held = atBottom();
    if (held) pill.hidden = true;
    seen.scrolls.set(seen.place, atBottom() ? null : scroller.scrollTop);
  });
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    if (root.classList.contains("drawer-open")) {
      showDrawer(false);
      drawer.focus();
    } else if (thread.contains(event.target)) app.openThread("");
  });

  const atBottom = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < near;

  function toBottom(smooth) {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    scroller.scrollTo({ top: scroller.scrollHeight, behavior: smooth && !calm ? "smooth" : "instant" });
    pill.hidden = true;
  }

  function drawHeader(channel, isApp, tab, unread) {
    const member = channel.kind === "im" ? directory.members.get(channel.with) : null;
    const mark = member ? avatar(member, channel.with, "small") : h("span", { class: "channel-mark" }, icon("hash"));
    header.replaceChildren(
      mark,
      h("h2", null, member ? titleOf(channel) : channel.name),
      ...[member?.is_bot && h("span", { class: "app-mark" }, "APP"), channel.topic && h("p", { class: "topic", title: channel.topic }, channel.topic)].filter(Boolean),
    );
    tabs.hidden = !isApp;
    for (const button of tabs.children) button.setAttribute("aria-selected", String(button.dataset.tab === tab));
    drawer.querySelector(".dot").hidden = !unread;
  }

  for (const button of tabs.children) button.addEventListener("click", () => app.openTab(button.dataset.tab));
  tabs.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const other = [...tabs.children].find((button) => button !== document.activeElement);
    other.focus();
    other.click();
  });

  function drawMessages(screen, channel) {
    const place = `${screen.me}/${channel.id}`;
    const moved = place !== seen.place;
    if (moved) {
      seen.place = place;
      seen.newFrom = "";
    }
    if (channel.unread > 0 && (moved || document.hidden)) seen.newFrom ||= firstUnread(channel, screen.me);
    const top = topLevel(channel.messages);
    const last = top.at(-1);
    const stay = !moved && !atBottom() && !(last?.user === screen.me && last.ts !== seen.last);
    if (moved) list.replaceChildren();
    const start = { key: "start", hash: place, build: () => beginning(channel) };
    sync(list, [start, ...messageItems(top, channel.messages, channel, app, { newFrom: seen.newFrom })]);
    if (moved && seen.scrolls.get(place) != null) scroller.scrollTop = seen.scrolls.get(place);
    else if (!stay) toBottom(false);
    else if (last && last.ts !== seen.last) pill.hidden = false;
    seen.last = last?.ts ?? "";
  }

  function drawThread(channel, ts) {
    const { parent, replies: answers } = ts ? threadOf(channel.messages, ts) : {};
    thread.hidden = !parent;
    root.classList.toggle("thread-open", Boolean(parent));
    if (!parent) return;
    $("thread-in").textContent = titleOf(channel);
    const count = answers.length === 1 ? "1 reply" : `${answers.length} replies`;
    const rule = { key: "count", hash: count, build: () => h("div", { class: "divider replies" }, h("span", null, count)) };
    const items = (messages) => messageItems(messages, channel.messages, channel, app, { parent, inThread: true });
    sync(replies, [...items([parent]), rule, ...items(answers)]);
  }

  /** Draws the screen of the chosen person with channel open. */
  function render(screen, channels, channel) {
    const isApp = channel.kind === "im" && channel.with === screen.bot;
    const tab = isApp ? app.place.tab : "messages";
    const onHome = tab === "home";
    sidebar(channels, channel, screen.bot);
    drawHeader(channel, isApp, tab, channels.some((it) => it !== channel && it.unread > 0));
    home.hidden = !onHome;
    scroller.hidden = onHome;
    $("composer").hidden = onHome || !channel.id;
    if (onHome) {
      const items = screen.home ? homeItems(screen.home, app) : [{ key: "none", hash: "", build: () => h("p", { class: "empty" }, "There is nothing here yet.") }];
      if (seen.home !== screen.me) home.replaceChildren();
      seen.home = screen.me;
      sync(home, items);
    } else {
      drawMessages(screen, channel);
    }
    drawThread(channel, onHome ? "" : app.place.thread);
    composer.render(screen.me, channel, titleOf(channel));
  }

  return { render, fill: composer.fill, focusThread: () => $("close-thread").focus(), focusMessage: (ts) => list.querySelector(`[data-ts="${CSS.escape(ts)}"] .thread-link`)?.focus() };
}

function beginning(channel) {
  const member = channel.kind === "im" ? directory.members.get(channel.with) : null;
  const text = member?.is_bot
    ? "It writes to you here about your keys, and hands a new secret over once. The Home tab shows what you own."
    : channel.topic;
  return h(
    "div",
    { class: "beginning" },
    member ? avatar(member, channel.with, "large") : h("span", { class: "beginning-mark" }, icon("hash")),
    h("h3", null, `This is the very beginning of ${member ? "your conversation with " : ""}${titleOf(channel)}`),
    text && h("p", null, text),
  );
}
