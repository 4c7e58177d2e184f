/**
 * Blots out secrets in texts that are written or shown: values of fields, members and parameters by their names, and
 * texts that look like a secret in any place. Forwarded bytes never pass here.
 */
import type { RedactRule } from "./rules.ts";

/** Stands in place of a secret. */
export const BLOT = "[redacted]";

/** Parts of names that make a name secret; compared without case and without separators of words. */
const SECRET_PARTS = [
  ...["password", "passwd", "passphrase", "passcode", "pwd", "secret", "token", "apikey", "accesskey", "privatekey"],
  ...["signingkey", "encryptionkey", "credential", "authorization", "session", "cookie", "cardnumber", "creditcard"],
  ...["ccnumber", "securitycode", "csrf", "xsrf", "jwt", "signature", "iban", "accountnumber", "socialsecurity"],
];
/** Names that are secret as they stand. */
const SECRET_NAMES = new Set([
  ...["auth", "key", "pass", "pin", "otp", "totp", "mfa", "cvv", "cvv2", "cvc", "ssn", "sig", "sid", "pan", "nonce"],
  ...["xauth", "xkey", "hmac"],
]);

/** `"name": value`, as in JSON; the value may be cut off at its end. */
const MEMBER = /"((?:[^"\\]|\\.){1,64})"(\s*:\s*)("(?:[^"\\]|\\.)*"?|[^\s,}\]"]+)/g;
/** `name=value`, as in queries, forms, cookies and attributes. */
const PARAMETER = /(?<![\w.[\]%-])([\w.[\]%-]+)(\s?=\s?)("[^"]*"?|'[^']*'?|[^&\s;,"'<>]+)/g;
/** `Name: value`, as a line. */
const LINE = /^([ \t]*[\w-]{1,64})(:[ \t]+)([^\r\n]+)/gm;
/** `<name>value</name>`. */
const ELEMENT = /<([\w:.-]{1,64})((?:\s[^<>]{0,256})?>)([^<]+)/g;

/** A part of a multipart form (RFC 7578, section 4.2): its header section, which contains `name`, and its value. */
const PART = new RegExp(
  String.raw`(content-disposition:[ \t]*form-data[^\r\n]{0,256}?[;\s]name=(?:"([^"\r\n]{1,64})"|([^\s;"]{1,64}))` +
    String.raw`[^\r\n]{0,256}(?:\r?\n[^\r\n]{1,256}){0,8}\r?\n\r?\n)([\s\S]*?)(?=\r?\n--|$)`,
  "gi",
);

/** Texts that are secrets by themselves. */
const SECRETS: readonly RegExp[] = [
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*-----|$)/g,
  /\beyJ[\w-]{4,}\.[\w-]{4,}(?:\.[\w-]*)?/g,
  /\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b/g,
  /\b(?:sk|pk|rk)_(?:live|test)_\w{8,}/g,
  /\bsk-[\w-]{16,}/g,
  /\b(?:gh[pousr]_|github_pat_|glpat-|npm_|dop_v1_|shpat_|hvs\.)[\w-]{16,}/g,
  /\bxox[a-z]-[\w-]{8,}/g,
  /\bAIza[\w-]{30,}/g,
  /\bya29\.[\w-]{16,}/g,
];
/** `Bearer`, `Basic` and other schemes, with the text behind them. */
const SCHEME = /\b(Bearer|Basic|Digest|Negotiate)(\s+)[\w.~+/=-]{6,}/gi;
/** A password in front of a host. */
const USER_INFO = /(\/\/)[^\s/@:]{1,64}:[^\s/@]{1,128}(@)/g;
/** A possible number of a payment card: 13 to 19 digits, in groups or not. */
const CARD = /(?<![\w.])\d(?:[ -]?\d){12,18}(?![\w])/g;

const CARD_ALONE = /^\d{13,19}$/;

/** A name that needs no quotes in a path. */
const PLAIN_NAME = /^[^\s.[\]"\\\p{C}]+$/u;
/** How many fields are remembered with their redacted form: most requests of a client have the same ones. */
export const FIELDS_MAX = 1024;
/** The longest field that is remembered; longer ones are searched each time. */
export const FIELD_CHARS_MAX = 256;
/**
 * The deepest level of a JSON value that is read. What lies deeper is searched as text; if the value has a secret place
 * and so is written anew, what lies deeper is blotted out.
 */
export const JSON_DEPTH_MAX = 64;

/** Redacts texts by one set of rules. */
export class Redactor {
  private readonly headers: ReadonlySet<string>;
  private readonly queries: ReadonlySet<string>;
  private readonly jsonPaths: readonly string[];
  /** Redacted fields, by name and value. */
  private readonly fields = new Map<string, string>();

  /** `isOff`: no secret is blotted out (--no-redact). */
  constructor(
    rules: readonly RedactRule[],
    private readonly isOff = false,
  ) {
    const patterns = (wanted: string) => rules.filter(({ kind }) => kind === wanted).map(({ pattern }) => pattern);
    this.headers = new Set(patterns("header").map((name) => name.toLowerCase()));
    this.queries = new Set(patterns("query").map((name) => name.toLowerCase()));
    this.jsonPaths = patterns("json");
  }

  /** A field's value, redacted. */
  header(name: string, value: string): string {
    if (this.isOff) return value;
    if (name.length + value.length > FIELD_CHARS_MAX) return this.field(name, value);
    const key = `${name}:${value}`;
    let shown = this.fields.get(key);
    if (shown === undefined) {
      if (this.fields.size >= FIELDS_MAX) this.fields.clear();
      this.fields.set(key, (shown = this.field(name, value)));
    }
    return shown;
  }

  private field(name: string, value: string): string {
    // The names of set cookies are no secrets.
    if (name === "set-cookie" && !value.includes("=")) return value;
    return this.headers.has(name.toLowerCase()) || isSecretName(name) ? BLOT : this.text(value);
  }

  /** Whether no secret is blotted out. */
  get showsAll(): boolean {
    return this.isOff;
  }

  /** A request target, redacted. */
  target(target: string): string {
    return this.text(target);
  }

  /** Whether a JSON value is a secret. `names`: the names on the way to it; `path`: the same as a path. */
  isSecretPlace(path: string, names: readonly string[]): boolean {
    if (this.isOff) return false;
    return names.some(isSecretName) || this.jsonPaths.some((rule) => path === rule || isWithin(path, rule));
  }

  /** A body's text, redacted. In JSON, secret places of any kind are blotted out whole. */
  content(text: string): string {
    if (this.isOff) return text;
    return this.text(/^\s*[[{]/.test(text) ? this.json(text) : text);
  }

  private json(text: string): string {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return text;
    }
    let isSecret = false;
    // The members of a list's objects have the same paths.
    const secrets = new Map<string, boolean>();
    const shown = (place: unknown, path: string, depth: number): unknown => {
      if (typeof place === "number" && CARD_ALONE.test(String(place)) && isCardNumber(String(place))) {
        isSecret = true;
        return BLOT;
      }
      if (typeof place !== "object" || place === null) return place;
      if (depth > JSON_DEPTH_MAX) return BLOT;
      if (Array.isArray(place)) return place.map((each) => member(each, `${path}[]`, [], depth));
      const members = Object.entries(place);
      return Object.fromEntries(members.map(([name, each]) => [name, member(each, below(path, name), [name], depth)]));
    };
    const member = (place: unknown, path: string, names: readonly string[], depth: number): unknown => {
      let isBlotted = secrets.get(path);
      if (isBlotted === undefined) secrets.set(path, (isBlotted = this.isSecretPlace(path, names)));
      if (!isBlotted) return shown(place, path, depth + 1);
      isSecret = true;
      return BLOT;
    };
    const plain = shown(value, "", 0);
    // A text without a secret stays unchanged.
    return isSecret ? JSON.stringify(plain) : text;
  }

  /** Any text (JSON, a form, lines), redacted. */
  text(text: string): string {
    if (this.isOff) return text;
    let plain = text;
    for (const pattern of SECRETS) plain = plain.replace(pattern, BLOT);
    return plain
      .replace(PART, (all, head: string, quoted?: string, bare?: string) =>
        this.isSecretParameter(quoted ?? bare ?? "") ? `${head}${BLOT}` : all,
      )
      .replace(USER_INFO, `$1${BLOT}$2`)
      .replace(SCHEME, `$1$2${BLOT}`)
      .replace(MEMBER, (all, name: string, between: string) =>
        isSecretName(name) ? `"${name}"${between}"${BLOT}"` : all,
      )
      .replace(ELEMENT, (all, name: string, rest: string) => (isSecretName(name) ? `<${name}${rest}${BLOT}` : all))
      .replace(LINE, (all, name: string, between: string) => (isSecretName(name) ? `${name}${between}${BLOT}` : all))
      .replace(PARAMETER, (all, name: string, between: string) =>
        this.isSecretParameter(name) ? `${name}${between}${BLOT}` : all,
      )
      .replace(CARD, (digits) => (isCardNumber(digits) ? BLOT : digits));
  }

  private isSecretParameter(name: string): boolean {
    const plain = decoded(name);
    // In user[pin] and card.cvv, each part counts.
    return isSecretName(plain) || plain.split(/[.[\]]+/).some(isSecretName) || this.queries.has(plain.toLowerCase());
  }
}

/** The path of an object's member, as --redact and --ignore write it. */
function below(path: string, name: string): string {
  if (!PLAIN_NAME.test(name)) return `${path}[${JSON.stringify(name)}]`;
  return path === "" ? name : `${path}.${name}`;
}

function isWithin(path: string, place: string): boolean {
  return path.startsWith(place) && (path[place.length] === "." || path[place.length] === "[");
}

function isSecretName(name: string): boolean {
  const plain = name.toLowerCase().replace(/[^a-z\d]/g, "");
  return SECRET_NAMES.has(plain) || SECRET_PARTS.some((part) => plain.includes(part));
}

function decoded(name: string): string {
  if (!name.includes("%")) return name;
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** Luhn's check (ISO/IEC 7812-1, annex B). */
function isCardNumber(text: string): boolean {
  const digits = text.replace(/\D/g, "");
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = Number(digits[digits.length - 1 - i]);
    const doubled = i % 2 === 1 ? digit * 2 : digit;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return sum % 10 === 0;
}
