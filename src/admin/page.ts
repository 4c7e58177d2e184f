/**
 * The page at `/`: one file, which shows /status and asks for it again and again. Without scripts it is a table. The
 * part about --compare is made only here (comparison-html.ts): the script takes it from the page, which it requests
 * again.
 */
import { comparisonHtml, type Worst } from "./comparison-html.ts";
import { escaped } from "./escaped.ts";
import html from "./page.html" with { type: "text" };
import type { Page } from "./response.ts";
import type { Status } from "./status.ts";

const HTML = "text/html; charset=utf-8";
// Bun's types know an import of HTML only as a bundle.
const template = html as unknown as string;
const SCRIPT = /<script>(.*?)<\/script>/s.exec(template)![1]!;
const SCRIPT_HASH = new Bun.CryptoHasher("sha256").update(SCRIPT).digest("base64");

/** The page loads nothing from elsewhere, no other script runs in it, and no other page may embed it. */
export const PAGE_FIELDS =
  `Content-Security-Policy: default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; img-src data:; ` +
  `script-src 'sha256-${SCRIPT_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n` +
  "Referrer-Policy: no-referrer\r\n";

/** Parts of the status that are no counters, or are shown in another way. */
const NOT_IN_TABLE: readonly string[] = ["configuration", "problems", "rates"];

/** Makes the page. `worst` null: responses are not compared. */
export function pageHtml(status: Status, worst: Worst | null): Page {
  // A function, because its result is taken as it is.
  const body = template
    .replace("<!--problems-->", () => problemsHtml(status))
    .replace("<!--rows-->", () => rowsHtml(status))
    .replace("<!--comparison-->", () => (worst === null ? "" : comparisonHtml(worst)))
    .replace("<!--configuration-->", () => leavesHtml("configuration", status.configuration));
  return { status: 200, contentType: HTML, body };
}

function problemsHtml({ problems, phase }: Status): string {
  if (problems.length === 0) return `<li class="fine">Nothing is wrong (${escaped(phase)}).</li>`;
  return problems.map(({ message }) => `<li class="wrong">${escaped(message)}</li>`).join("");
}

function rowsHtml(status: Status): string {
  return Object.entries(status)
    .filter(([name]) => !NOT_IN_TABLE.includes(name))
    .map(([name, value]) => leavesHtml(name, value))
    .join("");
}

/** A row for each value, by its path in /status. */
function leavesHtml(path: string, value: unknown): string {
  if (hasParts(value))
    return Object.entries(value)
      .map(([name, inner]) => leavesHtml(`${path}.${name}`, inner))
      .join("");
  const shown = Array.isArray(value) ? value.join(", ") : String(value ?? "–");
  return `<tr><th scope="row">${escaped(path)}</th><td data-path="${escaped(path)}">${escaped(shown)}</td></tr>`;
}

/** Whether a value is shown by its parts: a list of words or numbers is one value. */
function hasParts(value: unknown): value is object {
  if (Array.isArray(value)) return value.some(hasParts);
  return typeof value === "object" && value !== null;
}
