/**
 * A body as its reader gets it: without its content codings (RFC 9110, section 8.4), and as text if it is one. Pure:
 * only bytes in and out.
 */
import { brotliDecompressSync, gunzipSync, inflateRawSync, inflateSync, zstdDecompressSync } from "node:zlib";

/** The longest decoded body. */
export const DECODED_BYTES_MAX = 8 << 20;
/** The most codings of one body that are undone. */
export const CODINGS_MAX = 4;

/** Stands for a body that would be longer than {@link DECODED_BYTES_MAX}. */
export const TOO_LARGE = Symbol("too large");

type Decoder = (bytes: Uint8Array, options: { maxOutputLength: number }) => Uint8Array;

const DECODERS: Record<string, Decoder> = {
  gzip: gunzipSync,
  "x-gzip": gunzipSync,
  deflate: inflateAny,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
};

/** RFC 9110, section 8.4.1.2: `deflate` is zlib's format; some servers send bare deflate data. */
function inflateAny(bytes: Uint8Array, options: { maxOutputLength: number }): Uint8Array {
  try {
    return inflateSync(bytes, options);
  } catch (error) {
    if (isTooLarge(error)) throw error;
    return inflateRawSync(bytes, options);
  }
}

/** The codings of a Content-Encoding field, in the order in which they were applied; without identity. */
export function codingsOf(field: string): string[] {
  if (field === "") return [];
  return field
    .toLowerCase()
    .split(",")
    .map((coding) => coding.trim())
    .filter((coding) => coding !== "" && coding !== "identity");
}

/** Undoes all codings. Null: a coding is not known, or the bytes are not in it. */
export function decodeContent(bytes: Uint8Array, codings: readonly string[]): Uint8Array | typeof TOO_LARGE | null {
  if (codings.length > CODINGS_MAX) return null;
  let decoded = bytes;
  for (let i = codings.length - 1; i >= 0; i--) {
    const decoder = Object.hasOwn(DECODERS, codings[i]!) ? DECODERS[codings[i]!]! : null;
    if (decoder === null) return null;
    // Some servers name the coding of an empty body as well.
    if (decoded.length === 0) return decoded;
    try {
      decoded = decoder(decoded, { maxOutputLength: DECODED_BYTES_MAX });
    } catch (error) {
      return isTooLarge(error) ? TOO_LARGE : null;
    }
  }
  return decoded;
}

function isTooLarge(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE";
}

const TEXT_TYPE =
  /^(?:text\/|application\/(?:json|xml|javascript|ecmascript|x-javascript|x-www-form-urlencoded|graphql|yaml|x-yaml|toml|sql|x-ndjson|x-httpd-php)\b|[^;]*\+(?:json|xml|yaml)\b)/i;
const JSON_TYPE = /^[^;]*\/(?:[^;+]*\+)?json\s*(?:;|$)/i;
const NUL = 0;

/** Whether a Content-Type says that it is JSON. */
export function isJsonType(type: string): boolean {
  return JSON_TYPE.test(type);
}

/** Throws if the bytes are not in its charset. Without the option `stream` it keeps nothing for the next text. */
const decoderOf = (charset: Charset) => new TextDecoder(charset, { fatal: true });
const TEXT_DECODERS = {
  "utf-8": decoderOf("utf-8"),
  "utf-16le": decoderOf("utf-16le"),
  "utf-16be": decoderOf("utf-16be"),
  "windows-1252": decoderOf("windows-1252"),
} as const;
type Charset = "utf-8" | "utf-16le" | "utf-16be" | "windows-1252";

/** The decoder for text of a Content-Type, by WHATWG's labels; UTF-8 for all charsets but the other three. */
function charsetOf(type: string): Charset {
  const [, label = "utf-8"] = /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(type) ?? [];
  switch (label.toLowerCase()) {
    case "utf-16":
    case "utf-16le":
      return "utf-16le";
    case "utf-16be":
      return "utf-16be";
    case "iso-8859-1":
    case "latin1":
    case "l1":
    case "us-ascii":
    case "windows-1252":
      return "windows-1252";
    default:
      return "utf-8";
  }
}

/** Bytes as text, if they are text by their Content-Type or, without one, by themselves; null: they are no text. */
export function textOf(bytes: Uint8Array, type: string): string | null {
  if (type === "" ? bytes.includes(NUL) : !TEXT_TYPE.test(type)) return null;
  return decodeText(bytes, type);
}

/** Bytes as text, for any type; null: they are not in its charset. */
export function decodeText(bytes: Uint8Array, type: string): string | null {
  // A byte order mark overrides the charset (WHATWG Encoding, section 6).
  const charset = markOf(bytes) ?? charsetOf(type);
  try {
    return TEXT_DECODERS[charset].decode(bytes);
  } catch {
    return null;
  }
}

function markOf(bytes: Uint8Array): "utf-16le" | "utf-16be" | null {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return "utf-16le";
  return bytes[0] === 0xfe && bytes[1] === 0xff ? "utf-16be" : null;
}
