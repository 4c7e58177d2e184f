/** An HTTP/2 client's bytes, frame by frame. */
import { Flag, FrameType, writeFrameHeader, writeWord } from "../../../src/http/http2/frames.ts";
import { HpackEncoder } from "../../../src/http/http2/hpack-encoder.ts";

export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
export type Fields = readonly (readonly [name: string, value: string])[];

export function frame(type: number, flags: number, stream: number, payload: Uint8Array | string = ""): Buffer {
  const bytes = Buffer.from(payload as string, "latin1");
  const all = Buffer.alloc(9 + bytes.length);
  writeFrameHeader(all, 0, bytes.length, type, flags, stream);
  bytes.copy(all, 9);
  return all;
}

export function block(fields: Fields): Buffer {
  const encoder = new HpackEncoder();
  encoder.begin();
  for (const [name, value] of fields) encoder.add(name, value);
  return Buffer.from(encoder.block.subarray(0, encoder.length));
}

/** A field that is inserted into the dynamic table. */
export function inserted(name: string, value: string): Buffer {
  return Buffer.from(`\x40${String.fromCharCode(name.length)}${name}${String.fromCharCode(value.length)}${value}`);
}

export function pseudo(method: string, path: string): Fields {
  return [
    [":method", method],
    [":scheme", "http"],
    [":path", path],
    [":authority", "production"],
  ];
}

export interface HeadersOptions {
  end?: boolean;
  priority?: boolean;
  padding?: number;
  /** The number of CONTINUATION frames after the HEADERS frame. */
  continuations?: number;
}

export function headers(stream: number, fields: Fields | Buffer, options: HeadersOptions = {}): Buffer {
  const { end = false, priority = false, padding, continuations = 0 } = options;
  const whole = Buffer.isBuffer(fields) ? fields : block(fields);
  const size = Math.ceil(whole.length / (continuations + 1));
  const pieces = Array.from({ length: continuations + 1 }, (_, i) => whole.subarray(i * size, (i + 1) * size));
  const flags =
    (end ? Flag.END_STREAM : 0) |
    (priority ? Flag.PRIORITY : 0) |
    (padding === undefined ? 0 : Flag.PADDED) |
    (continuations === 0 ? Flag.END_HEADERS : 0);
  const first = Buffer.concat([
    ...(padding === undefined ? [] : [Buffer.from([padding])]),
    ...(priority ? [Buffer.from([0, 0, 0, 0, 15])] : []),
    pieces[0]!,
    Buffer.alloc(padding ?? 0),
  ]);
  const rest = pieces
    .slice(1)
    .map((piece, i) => frame(FrameType.CONTINUATION, i === continuations - 1 ? Flag.END_HEADERS : 0, stream, piece));
  return Buffer.concat([frame(FrameType.HEADERS, flags, stream, first), ...rest]);
}

export function data(stream: number, body: Uint8Array | string, end = false, padding?: number): Buffer {
  const bytes = Buffer.from(body as string, "latin1");
  const flags = (end ? Flag.END_STREAM : 0) | (padding === undefined ? 0 : Flag.PADDED);
  const payload = padding === undefined ? bytes : Buffer.concat([Buffer.from([padding]), bytes, Buffer.alloc(padding)]);
  return frame(FrameType.DATA, flags, stream, payload);
}

export function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  writeWord(bytes, 0, value);
  return bytes;
}

export const SETTINGS = frame(FrameType.SETTINGS, 0, 0, "\0\x03\0\0\0\x64\0\x04\0\0\xff\xff");
export const SETTINGS_ACK = frame(FrameType.SETTINGS, Flag.ACK, 0);
export const PING = frame(FrameType.PING, 0, 0, "12345678");
export const windowUpdate = (stream: number) => frame(FrameType.WINDOW_UPDATE, 0, stream, word(1000));
export const reset = (stream: number, code = 8) => frame(FrameType.RST_STREAM, 0, stream, word(code));
export const get = (stream: number, path: string) => headers(stream, pseudo("GET", path), { end: true });
