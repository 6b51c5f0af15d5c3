// Dates as people read them, in the reader's own time zone. The sandbox's clock
// can be ahead of the real one, so "now" is always passed in or taken from clock.

/** The simulated clock: the real one plus what was skipped. */
export const clock = {
  offset: 0,
  set(now) {
    this.offset = Date.parse(now) - Date.now();
  },
  now() {
    return new Date(Date.now() + this.offset);
  },
};

const timeFormat = new Intl.DateTimeFormat("en", { hour: "numeric", minute: "2-digit" });
const secondsFormat = new Intl.DateTimeFormat("en", { hour: "numeric", minute: "2-digit", second: "2-digit" });
const fullFormat = new Intl.DateTimeFormat("en", { dateStyle: "full", timeStyle: "medium" });
const shortFormat = new Intl.DateTimeFormat("en", { weekday: "short", day: "numeric", month: "short", year: "numeric" });
const relative = new Intl.RelativeTimeFormat("en", { numeric: "always" });

/** The Date of a Slack ts such as "1700000000.000100". */
export const tsDate = (ts) => new Date(Number(ts) * 1000);

/** "12:05 PM". */
export const timeOf = (date) => timeFormat.format(date);

/** "Monday, November 23, 2026 at 12:05:09 PM", for titles. */
export const fullOf = (date) => fullFormat.format(date);

/** "Mon, Nov 23, 2026". */
export const shortDateOf = (date) => shortFormat.format(date);

const units = [
  ["year", 365 * 86400],
  ["month", 30 * 86400],
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
];

/** "3 hours ago", "in 2 days", "just now". */
export function relativeOf(date, now = clock.now()) {
  const seconds = (date - now) / 1000;
  for (const [unit, size] of units) {
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  }
  return "just now";
}

/** A sortable name for the day of date in the reader's zone: "2026-11-23". */
export function dayKey(date) {
  const two = (n) => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** "Today", "Yesterday", "Tomorrow", else a long date without this year's number. */
export function dayLabel(date, now = clock.now()) {
  return pretty(date, now) ?? longDate(date, date.getFullYear() !== now.getFullYear());
}

function pretty(date, now) {
  const day = new Date(now.getFullYear(), now.getMonth(), now.getDate());
  for (const [step, word] of [[0, "Today"], [-1, "Yesterday"], [1, "Tomorrow"]]) {
    const other = new Date(day);
    other.setDate(day.getDate() + step);
    if (dayKey(other) === dayKey(date)) return word;
  }
  return null;
}

function ordinal(n) {
  const rest = n % 100;
  if (rest >= 11 && rest <= 13) return `${n}th`;
  return `${n}${["th", "st", "nd", "rd"][n % 10] ?? "th"}`;
}

const month = (date, style) => date.toLocaleDateString("en", { month: style });
const weekday = (date) => date.toLocaleDateString("en", { weekday: "long" });

function longDate(date, withYear) {
  return `${weekday(date)}, ${month(date, "long")} ${ordinal(date.getDate())}${withYear ? `, ${date.getFullYear()}` : ""}`;
}

/**
 * Fills a Slack date template, such as "{date_short_pretty} at {time}", for a
 * Unix time in seconds. Unknown tokens make the result null: show the fallback.
 */
export function slackDate(seconds, template, now = clock.now()) {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return null;
  const halfYear = 183 * 86400 * 1000;
  const year = Math.abs(date - now) < halfYear ? "" : `, ${date.getFullYear()}`;
  const plain = {
    date_num: () => dayKey(date),
    date_slash: () => date.toLocaleDateString("en-GB"),
    date: () => `${month(date, "long")} ${ordinal(date.getDate())}${year}`,
    date_short: () => `${month(date, "short")} ${date.getDate()}${year}`,
    date_long: () => longDate(date, true),
    date_long_full: () => `${month(date, "long")} ${date.getDate()}, ${date.getFullYear()}`,
    day_divider: () => dayLabel(date, now),
    time: () => timeOf(date),
    time_secs: () => secondsFormat.format(date),
    ago: () => relativeOf(date, now),
  };
  let known = true;
  const text = template.replace(/\{([a-z_]+)\}/g, (_, token) => {
    const near = token.endsWith("_pretty") ? pretty(date, now)?.toLowerCase() : null;
    const fill = plain[token.replace(/_pretty$/, "")];
    if (!fill) known = false;
    return near ?? fill?.() ?? "";
  });
  return known ? text.replace(/^(today|yesterday|tomorrow)/, (word) => word[0].toUpperCase() + word.slice(1)) : null;
}
