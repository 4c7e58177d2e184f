/** A request in the form that files have: with its head read, its body as text if it is text, and without secrets. */
import { ChunkedBody } from "../http/chunked-body.ts";
import { type FieldLines, HeadView } from "../http/head-view.ts";
import type { Redactor } from "../redact/redactor.ts";
import { type FiledBody, filedBody } from "./filed-body.ts";

/** A field in the form that files have; bytes beyond ASCII are Latin-1. */
export type FiledField = readonly [name: string, value: string];

/** A request, in the form that files have. */
export interface FiledRequest {
  /** When its first bytes were captured, in milliseconds since 1970. */
  readonly timeMs: number;
  /** The number of its connection: requests of one client connection have the same. */
  readonly connection: number;
  readonly method: string;
  readonly target: string;
  /** `HTTP/1.1`, `HTTP/2.0`. */
  readonly version: string;
  /** The first Host, or the target's authority. */
  readonly host: string;
  readonly headers: readonly FiledField[];
  /** Undefined: the request has no body. */
  readonly body: FiledBody | undefined;
}

/** The facts about a request that are not in its bytes. */
export interface RequestFrame {
  readonly timeMs: number;
  readonly connection: number;
  readonly headLength: number;
  readonly isChunked: boolean;
  readonly version: string;
}

/** Reads a request. `bytes`: the whole request, as the framer has accepted it. */
export function filedRequest(bytes: Buffer, frame: RequestFrame, redactor: Redactor): FiledRequest {
  const { timeMs, connection, headLength, isChunked, version } = frame;
  const head = new HeadView(bytes.toString("latin1", 0, headLength));
  const content = isChunked ? withoutChunks(bytes.subarray(headLength)) : bytes.subarray(headLength);
  const isCoded = head.values("content-encoding").some((coding) => coding !== "" && !/^identity$/i.test(coding));
  return {
    timeMs,
    connection,
    method: head.method,
    target: redactor.target(head.target),
    version,
    host: redactor.target(head.host ?? ""),
    headers: filedFields(head, redactor),
    body: content.length === 0 ? undefined : filedBody(content, isCoded, redactor),
  };
}

/** The fields of a head, in their order. */
export function filedFields(head: HeadView, redactor: Redactor): FiledField[] {
  return head.fields.filter(({ name }) => name !== "").map((field) => filedField(field, redactor));
}

function filedField({ name, lines }: FieldLines, redactor: Redactor): FiledField {
  const [first, ...folded] = lines as [string, ...string[]];
  const colon = first.indexOf(":");
  const value = [first.slice(colon + 1), ...folded].map((line) => line.trim()).join(" ");
  return [first.slice(0, colon).trim(), redactor.header(name, value.trim())];
}

function withoutChunks(bytes: Buffer): Buffer {
  const parts: Uint8Array[] = [];
  const body = new ChunkedBody(false);
  body.begin(Infinity, { body: (data, from, to) => parts.push(data.subarray(from, to)) });
  body.feed(bytes, 0, bytes.length);
  return Buffer.concat(parts);
}
