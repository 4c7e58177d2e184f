/**
 * HTTP/2's frames.
 * https://www.rfc-editor.org/rfc/rfc9113#section-4.1
 *
 *     length (24 bits) │ type (8) │ flags (8) │ reserved (1), stream (31) │ payload …
 */

export const FRAME_HEADER_LEN = 9;
/** Where the type (1 byte) stands in a frame's header. */
export const TYPE_OFFSET = 3;
/** Where the flags (1 byte) stand. */
export const FLAGS_OFFSET = 4;
/** Where the stream (4 bytes) stands. */
export const STREAM_OFFSET = 5;
/** Section 4.2: the longest payload until a SETTINGS frame says otherwise. */
export const FRAME_BYTES_DEFAULT = 16_384;
/** The highest stream. */
export const STREAM_MAX = 0x7fff_ffff;
/** Sections 6.9.1 and 6.9.2. */
export const WINDOW_DEFAULT = 65_535;
/** The largest window. */
export const WINDOW_MAX = 0x7fff_ffff;

/** Section 6. */
export const FrameType = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;

/** The flags of frames; the same bit has other names in other types. */
export const Flag = {
  END_STREAM: 0x01,
  ACK: 0x01,
  END_HEADERS: 0x04,
  PADDED: 0x08,
  PRIORITY: 0x20,
} as const;

/** Section 6.5.2; the last one by RFC 8441. */
export const Setting = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
  ENABLE_CONNECT_PROTOCOL: 8,
} as const;

/** Section 7: the codes that are used here. */
export const ErrorCode = {
  REFUSED_STREAM: 7,
  CANCEL: 8,
} as const;

/** The payload's length of PING, in bytes. */
export const PING_LEN = 8;
/** The payload's length of RST_STREAM, in bytes. */
export const RST_STREAM_LEN = 4;
/** The payload's length of WINDOW_UPDATE, in bytes. */
export const WINDOW_UPDATE_LEN = 4;
/** Last stream and error code; the text behind them is for people. */
export const GOAWAY_LEN = 8;
/** Of each setting: its name (2 bytes) and value (4). */
export const SETTING_LEN = 6;
/** In a HEADERS frame with the flag PRIORITY. */
export const PRIORITY_LEN = 5;

/** In a PUSH_PROMISE frame: the stream that is promised. */
export const PROMISED_LEN = 4;

/** The flags that a type may have; a type that is not here has no known flags. */
const FLAGS: readonly number[] = [
  Flag.END_STREAM | Flag.PADDED,
  Flag.END_STREAM | Flag.END_HEADERS | Flag.PADDED | Flag.PRIORITY,
  0,
  0,
  Flag.ACK,
  Flag.END_HEADERS | Flag.PADDED,
  Flag.ACK,
  0,
  0,
  Flag.END_HEADERS,
];
/**
 * The types that belong to the connection as a whole, and those that belong to a stream; WINDOW_UPDATE may be either.
 */
const OF_CONNECTION = new Set<number>([FrameType.SETTINGS, FrameType.PING, FrameType.GOAWAY]);
/** The length of the payload of types that fix it. */
const LENGTHS = new Map<number, number>([
  [FrameType.PRIORITY, PRIORITY_LEN],
  [FrameType.RST_STREAM, RST_STREAM_LEN],
  [FrameType.PING, PING_LEN],
  [FrameType.WINDOW_UPDATE, WINDOW_UPDATE_LEN],
]);

/** The payload's length in the frame header at `at`: 24 bits. */
export function lengthAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
}

/** 31 bits; the one before them is reserved. */
export function streamAt(bytes: Uint8Array, at: number): number {
  return wordAt(bytes, at) & STREAM_MAX;
}

/** 32 bits. */
export function wordAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/**
 * Whether a frame's header may stand here: known type, its flags, its length, its kind of stream. A client's frames all
 * belong to its own streams; a server's (`isServers`) may belong to streams that it pushes.
 */
function mayBeFrame(bytes: Uint8Array, at: number, isServers: boolean): boolean {
  const type = bytes[at + TYPE_OFFSET]!;
  const flags = FLAGS[type];
  if (flags === undefined || (bytes[at + FLAGS_OFFSET]! & ~flags) !== 0) return false;
  const length = lengthAt(bytes, at);
  const fixed = LENGTHS.get(type);
  if (fixed !== undefined && length !== fixed) return false;
  if (type === FrameType.SETTINGS && length % SETTING_LEN !== 0) return false;
  if (type === FrameType.GOAWAY && length < GOAWAY_LEN) return false;
  if (bytes[at + STREAM_OFFSET]! > STREAM_MAX >>> 24) return false;
  const stream = streamAt(bytes, at + STREAM_OFFSET);
  if (type === FrameType.WINDOW_UPDATE && stream === 0) return true;
  if (OF_CONNECTION.has(type)) return stream === 0;
  return isServers ? stream > 0 : stream % 2 === 1;
}

/**
 * Whether a chain of frames that proves itself begins here: it ends where the bytes end, or another header follows a
 * whole frame. A frame without payload proves nothing: padding, and numbers in a body, have as many zeros. Nor can DATA
 * belong to a stream above `streamMax`, unless its HEADERS are in the chain. Behind the first frame, CONTINUATION stands
 * where its header block goes on, and nowhere else (RFC 9113, section 6.10).
 */
export function isFrameChain(
  bytes: Uint8Array,
  from: number,
  end: number,
  isServers: boolean,
  streamMax: number,
): boolean {
  let at = from;
  let proofs = 0;
  let highest = streamMax;
  /** The stream of the header block that goes on; 0: none does. */
  let open = 0;
  while (at + FRAME_HEADER_LEN <= end && mayBeFrame(bytes, at, isServers)) {
    const type = bytes[at + TYPE_OFFSET]!;
    const stream = streamAt(bytes, at + STREAM_OFFSET);
    const isContinued = type === FrameType.CONTINUATION;
    if (at > from && (isContinued ? stream : 0) !== open) return false;
    const hasBlock = isContinued || type === FrameType.HEADERS || type === FrameType.PUSH_PROMISE;
    open = hasBlock && (bytes[at + FLAGS_OFFSET]! & Flag.END_HEADERS) === 0 ? stream : 0;
    if (type === FrameType.HEADERS) highest = Math.max(highest, stream);
    if (type === FrameType.DATA && stream > highest) return false;
    const length = lengthAt(bytes, at);
    if (length > 0) proofs++;
    at += FRAME_HEADER_LEN + length;
    if (at === end) return proofs > 0;
    if (at > end) return proofs > 1;
  }
  return false;
}

/** Writes a frame's header. */
export function writeFrameHeader(
  target: Uint8Array,
  at: number,
  length: number,
  type: number,
  flags: number,
  stream: number,
): void {
  target[at] = length >>> 16;
  target[at + 1] = length >>> 8;
  target[at + 2] = length;
  target[at + TYPE_OFFSET] = type;
  target[at + FLAGS_OFFSET] = flags;
  writeWord(target, at + STREAM_OFFSET, stream);
}

/** Writes 32 bits at `at`. */
export function writeWord(target: Uint8Array, at: number, word: number): void {
  target[at] = word >>> 24;
  target[at + 1] = word >>> 16;
  target[at + 2] = word >>> 8;
  target[at + 3] = word;
}
