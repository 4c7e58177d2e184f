/**
 * A request's head, read only when a rule that chooses requests, or an edit, asks for it. The framer has accepted the
 * head already. Reading takes time in proportion to the head's length. https://www.rfc-editor.org/rfc/rfc9112
 */

/** A field in its written form: its own line, and the lines that are folded behind it. */
export interface FieldLines {
  /** The name in lower case; empty: the line has no colon, or nothing before the colon. */
  readonly name: string;
  /** The lines without their line ends. */
  readonly lines: string[];
}

/** Matches scheme and authority of a target in absolute-form (RFC 9112, section 3.2.2). */
const ABSOLUTE_FORM = /^([a-z][a-z0-9+.-]*:\/\/)([^/?#\s]*)/i;
const UNRESERVED = /[\w.~-]/;

/** The parts of one request's head, each read when it is first asked for. */
export class HeadView {
  readonly method: string;
  /** The target in its written form, with all oddities. */
  readonly target: string;
  /** Where the path begins and ends in the target; the same twice: the target has no path. */
  readonly pathFrom: number;
  readonly pathTo: number;
  /** The request line around the target. */
  readonly beforeTarget: string;
  readonly behindTarget: string;
  private ownFields: readonly FieldLines[] | null = null;
  private ownPath: string | null = null;

  /** `text`: request line and header section as Latin-1, up to and with the empty line. */
  constructor(private readonly text: string) {
    const end = text.indexOf("\n");
    const line = text.slice(0, text[end - 1] === "\r" ? end - 1 : end);
    const methodTo = blankFrom(line, 0);
    let from = methodTo;
    while (isBlank(line, from)) from++;
    // The version is the text behind the last blank; blanks may also stand behind it.
    const versionTo = lastOf(line, from, line.length, true);
    const to = lastOf(line, from, lastOf(line, from, versionTo, false), true);
    this.method = line.slice(0, methodTo);
    this.target = line.slice(from, to);
    this.beforeTarget = line.slice(0, from);
    this.behindTarget = line.slice(to);
    this.pathFrom = this.method === "CONNECT" ? this.target.length : (this.absoluteForm?.[0].length ?? 0);
    const behindPath = this.target.slice(this.pathFrom).search(/[?#]/);
    this.pathTo = behindPath < 0 ? this.target.length : this.pathFrom + behindPath;
  }

  /** The line end that the head uses. */
  get lineEnd(): string {
    return this.text.includes("\r\n") ? "\r\n" : "\n";
  }

  /** Scheme with `://`, and authority, of a target in absolute-form; null: the target has another form. */
  get absoluteForm(): RegExpExecArray | null {
    return ABSOLUTE_FORM.exec(this.target);
  }

  /**
   * The target's path in normal form, as rules compare it: unreserved characters are not percent-encoded (RFC 3986,
   * section 6.2.2.2), dot segments are removed (6.2.2.3), and an empty path in absolute-form is a slash.
   */
  get path(): string {
    return (this.ownPath ??= this.readPath());
  }

  /**
   * The host that the request is for: the target's authority if there is one, else the values of the Host fields. In
   * lower case.
   */
  get hosts(): readonly string[] {
    const authority = this.method === "CONNECT" ? this.target : this.absoluteForm?.[2];
    if (authority === undefined) return this.values("host").map((value) => value.toLowerCase());
    return [authority.slice(authority.lastIndexOf("@") + 1).toLowerCase()];
  }

  /** The first of the hosts, in its written form. */
  get host(): string | undefined {
    return this.absoluteForm?.[2] ?? this.values("host")[0];
  }

  /** The fields in their order; a line that belongs to no field is left out (RFC 9112, section 2.2). */
  get fields(): readonly FieldLines[] {
    return (this.ownFields ??= this.readFields());
  }

  /** The values of all fields with this name. `name`: in lower case. */
  values(name: string): string[] {
    return this.fields.filter((field) => field.name === name).map(valueOf);
  }

  private readPath(): string {
    const path = this.target.slice(this.pathFrom, this.pathTo);
    if (path === "" && this.pathFrom > 0 && this.method !== "CONNECT") return "/";
    const plain = path.includes("%") ? path.replace(/%[\da-f]{2}/gi, plainOf) : path;
    return plain.startsWith("/") && plain.includes("/.") ? withoutDots(plain) : plain;
  }

  private readFields(): FieldLines[] {
    const fields: FieldLines[] = [];
    const lines = this.text.split(/\r?\n/);
    for (const line of lines.slice(1, lines.indexOf("", 1))) {
      if (!isBlank(line, 0)) fields.push({ name: nameOf(line), lines: [line] });
      else fields.at(-1)?.lines.push(line);
    }
    return fields;
  }
}

function blankFrom(line: string, from: number): number {
  let at = from;
  while (at < line.length && !isBlank(line, at)) at++;
  return at;
}

/** The beginning of the blanks (`isOfBlanks`), or of the other characters, that end at `to`; at the earliest `from`. */
function lastOf(line: string, from: number, to: number, isOfBlanks: boolean): number {
  let at = to;
  while (at > from && isBlank(line, at - 1) === isOfBlanks) at--;
  return at;
}

function isBlank(line: string, at: number): boolean {
  return line[at] === " " || line[at] === "\t";
}

function nameOf(line: string): string {
  return line
    .slice(0, Math.max(line.indexOf(":"), 0))
    .trim()
    .toLowerCase();
}

/** A field's value as one line. RFC 9112, section 5.2: a fold stands for a blank. */
function valueOf({ lines }: FieldLines): string {
  const [first, ...folded] = lines as [string, ...string[]];
  return [first.slice(first.indexOf(":") + 1), ...folded]
    .map((line) => line.trim())
    .join(" ")
    .trim();
}

function plainOf(encoded: string): string {
  const char = String.fromCharCode(parseInt(encoded.slice(1), 16));
  return UNRESERVED.test(char) ? char : encoded;
}

/** RFC 3986, section 5.2.4. */
function withoutDots(path: string): string {
  const kept: string[] = [];
  const segments = path.split("/").slice(1);
  segments.forEach((segment, i) => {
    const isLast = i === segments.length - 1;
    if (segment === "..") kept.pop();
    if (segment !== "." && segment !== "..") kept.push(segment);
    else if (isLast) kept.push("");
  });
  return `/${kept.join("/")}`;
}
