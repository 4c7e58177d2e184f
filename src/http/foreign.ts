/** The first bytes of protocols other than HTTP/1. */
import {
  FLAGS_OFFSET,
  FRAME_HEADER_LEN,
  lengthAt,
  STREAM_MAX,
  STREAM_OFFSET,
  TYPE_OFFSET,
  wordAt,
} from "./http2/frames.ts";

/** TLS's record header (RFC 8446, section 5.1): type, version (2 bytes), length (2 bytes). */
const RECORD_HEADER_LEN = 5;
const RECORD_TYPE_MIN = 20;
const RECORD_TYPE_MAX = 23;
/** The type of a TLS record that begins a handshake. */
export const RECORD_TYPE_HANDSHAKE = 22;
/** The first byte of a TLS record's version. */
export const RECORD_VERSION_MAJOR = 3;
const RECORD_VERSION_MINOR_MAX = 4;
/** The longest record that TLS 1.2 allows, expanded by its cipher. */
const RECORD_LENGTH_MAX = (1 << 14) + 2048;

/** The first bytes of a client that speaks HTTP/2 with prior knowledge (RFC 9113, section 3.4). */
export const HTTP2_PREFACE = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** The frame types of RFC 9113, of ALTSVC and ORIGIN (RFC 7838, RFC 8336), and PRIORITY_UPDATE (RFC 9218). */
const FRAME_TYPE_MAX = 0x0c;
const FRAME_TYPE_PRIORITY_UPDATE = 0x10;
const FRAME_FLAGS = 0x2d;

/**
 * Whether the bytes are TLS records, and the last record ends where the bytes end: this is no accident, whatever was
 * expected.
 */
export function isTls(bytes: Uint8Array, at: number, end: number): boolean {
  while (at + RECORD_HEADER_LEN <= end) {
    const type = bytes[at]!;
    if (type < RECORD_TYPE_MIN || type > RECORD_TYPE_MAX) return false;
    if (bytes[at + 1] !== RECORD_VERSION_MAJOR || bytes[at + 2]! > RECORD_VERSION_MINOR_MAX) return false;
    const length = (bytes[at + 3]! << 8) | bytes[at + 4]!;
    if (length === 0 || length > RECORD_LENGTH_MAX) return false;
    at += RECORD_HEADER_LEN + length;
    if (at === end) return true;
  }
  return false;
}

/** Whether bytes begin with HTTP/2's preface. */
export function isHttp2Preface(bytes: Uint8Array, at: number, end: number): boolean {
  return end - at >= HTTP2_PREFACE.length && HTTP2_PREFACE.every((byte, i) => bytes[at + i] === byte);
}

/** Whether the bytes are HTTP/2: its preface, or frames. */
export function isHttp2(bytes: Uint8Array, at: number, end: number): boolean {
  if (isHttp2Preface(bytes, at, end)) return true;
  while (at + FRAME_HEADER_LEN <= end) {
    const type = bytes[at + TYPE_OFFSET]!;
    if (type > FRAME_TYPE_MAX && type !== FRAME_TYPE_PRIORITY_UPDATE) return false;
    if ((bytes[at + FLAGS_OFFSET]! & ~FRAME_FLAGS) !== 0 || wordAt(bytes, at + STREAM_OFFSET) > STREAM_MAX)
      return false;
    at += FRAME_HEADER_LEN + lengthAt(bytes, at);
    if (at === end) return true;
  }
  return false;
}
