/**
 * Makes a request's head from a header block's fields. https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1
 *
 * The head is written in HTTP/1's form, so that rules and edits need to know only one form:
 *
 *     GET /path HTTP/1.1 ⏎ host: (:authority) ⏎ name: value ⏎ … ⏎ ⏎
 *
 * This loses nothing: a head with a line end in a name, value or pseudo-header is not accepted.
 */
import { isIdempotentName } from "../methods.ts";
import { type DamageReason, RequestHead } from "../request-sink.ts";
import { ENTRY_OVERHEAD, type FieldSink } from "./hpack-decoder.ts";

/** The version of the form, not of the request. */
const VERSION = "HTTP/1.1";
/** RFC 9110, section 5.6.2, without capital letters (RFC 9113, section 8.2.1). */
const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const GRPC_TYPE = "application/grpc";
const LINE_END = /[\0\r\n]/;
const DIGITS = /^\d{1,15}$/;
/** RFC 9113, section 8.2.1: blanks may not stand at a value's beginning or end, and control characters nowhere. */
const ODD_VALUE = /^[ \t]|[ \t]$|[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]/;
/** Section 8.2.2: fields about the connection, which have no meaning in HTTP/2. */
const OF_CONNECTION = new Set(["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"]);

/**
 * A head of HTTP/2: its text, and the parts that the text does not have. One object serves all requests of a framer.
 */
export class Http2Head extends RequestHead {
  /** The head from the request line to the empty line, a character for each byte (latin1). */
  text = "";
  target = "";
  scheme = "";
  /** The first field `host` is the request's :authority. */
  hasAuthority = false;
  /** The protocol that an extended CONNECT asks for (RFC 8441); null: the request is no extended CONNECT. */
  protocol: string | null = null;
  /** The request is a call of gRPC: it has no trailer section. */
  isGrpc = false;
  /** The request's Content-Length; -1: it has none. */
  declaredLength = -1;
}

/** Reads one head or trailer section at a time. */
export class HeadReader implements FieldSink {
  readonly head = new Http2Head();
  /** Why the block is no head, or no trailer section; null: nothing is wrong so far. */
  fault: DamageReason | null = null;
  private isTrailer = false;
  private listBytes = 0;
  private method: string | null = null;
  private path: string | null = null;
  private scheme: string | null = null;
  private authority: string | null = null;
  private protocol: string | null = null;
  private fields = "";
  private contentLength = -1;
  private isOdd = false;
  private isGrpc = false;

  /** `listBytesMax`: the most bytes that all names and values may have together. */
  constructor(private readonly listBytesMax: number) {}

  begin(isTrailer: boolean): void {
    this.isTrailer = isTrailer;
    this.fault = null;
    this.listBytes = 0;
    this.method = null;
    this.path = null;
    this.scheme = null;
    this.authority = null;
    this.protocol = null;
    this.fields = "";
    this.contentLength = -1;
    this.isOdd = false;
    this.isGrpc = false;
  }

  field(name: string, value: string): void {
    this.listBytes += name.length + value.length + ENTRY_OVERHEAD;
    if (this.fault !== null) return;
    if (this.listBytes > this.listBytesMax) this.fault = "header_too_long";
    else if (LINE_END.test(value)) this.fault = "malformed";
    else if (name.startsWith(":")) this.pseudo(name, value);
    else if (!NAME.test(name)) this.fault = "malformed";
    else this.regular(name, value);
  }

  unknownField(): void {
    // This reason says more than another fault of a block that is not known in whole.
    this.fault = "unknown_header";
  }

  /** The block has ended. Returns the lines of a trailer section; null: see {@link fault}. */
  endTrailer(): string | null {
    return this.fault === null ? this.fields : null;
  }

  /** The block has ended. Returns the head, valid until the next one begins; null: see {@link fault}. */
  endHead(): Http2Head | null {
    const { head, method, authority } = this;
    this.checkPseudo();
    if (this.fault !== null) return null;
    const target = this.path ?? authority!;
    head.method = method!;
    head.target = target;
    const host = authority === null ? "" : `host: ${authority}\r\n`;
    head.text = `${method} ${target} ${VERSION}\r\n${host}${this.fields}\r\n`;
    head.headLength = head.text.length;
    head.scheme = this.scheme ?? "";
    head.hasAuthority = authority !== null;
    head.protocol = this.protocol;
    head.isGrpc = this.isGrpc;
    head.declaredLength = this.contentLength;
    head.isIdempotent = isIdempotentName(method!);
    head.isOdd = this.isOdd;
    return head;
  }

  /** Section 8.3.1: the pseudo-headers that a request must have. */
  private checkPseudo(): void {
    const { method, path, scheme, authority, protocol } = this;
    if (this.fault !== null) return;
    const isRight =
      method === "CONNECT" && protocol === null
        ? path === null && scheme === null && authority !== null
        : method !== null && METHOD.test(method) && path !== null && path !== "" && scheme !== null;
    if (!isRight || (protocol !== null && method !== "CONNECT")) this.fault = "malformed";
  }

  private pseudo(name: string, value: string): void {
    let isFirst = false;
    // Section 8.3: pseudo-headers stand before all fields, and a trailer section has none.
    if (!this.isTrailer && this.fields === "") {
      switch (name) {
        case ":method":
          isFirst = this.method === null;
          this.method = value;
          break;
        case ":path":
          isFirst = this.path === null;
          this.path = value;
          break;
        case ":scheme":
          isFirst = this.scheme === null;
          this.scheme = value;
          break;
        case ":authority":
          isFirst = this.authority === null;
          this.authority = value;
          break;
        case ":protocol":
          isFirst = this.protocol === null;
          this.protocol = value;
          break;
        default:
      }
    }
    if (!isFirst) this.fault = "malformed";
  }

  private regular(name: string, value: string): void {
    this.fields += `${name}: ${value}\r\n`;
    if (ODD_VALUE.test(value) || OF_CONNECTION.has(name)) this.isOdd = true;
    if (name === "content-length") this.readLength(value);
    else if (name === "content-type") this.isGrpc = value.startsWith(GRPC_TYPE);
  }

  private readLength(value: string): void {
    const length = DIGITS.test(value) ? Number(value) : -1;
    if (length < 0 || (this.contentLength >= 0 && this.contentLength !== length)) this.fault = "ambiguous_length";
    this.contentLength = length;
  }
}
