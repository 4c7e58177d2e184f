/**
 * Production's response in the form that files have beside its request: without its content coding, and without
 * secrets.
 */
import { codingsOf, decodeContent, TOO_LARGE } from "../compare/content.ts";
import type { ProductionResponse } from "../forward/exchange.ts";
import { HeadView } from "../http/head-view.ts";
import type { Redactor } from "../redact/redactor.ts";
import { type FiledBody, filedBody } from "./filed-body.ts";
import { type FiledField, filedFields } from "./filed-request.ts";

/** Production's response, in the form that files have. */
export interface FiledResponse {
  readonly status: number;
  readonly statusText: string;
  /** `HTTP/1.1`. */
  readonly version: string;
  readonly headers: readonly FiledField[];
  /** Undefined: the response has no body, or one that is too long to be written. */
  readonly body: FiledBody | undefined;
  /** The length of the body without its content coding; for a body that is not written, its received length. */
  readonly contentLength: number;
  /** The received length of the body, without its transfer coding. */
  readonly bodyLength: number;
  /** The SHA-256 of the received bytes of a body that is too long to be written. */
  readonly sha256: string | undefined;
  readonly headLength: number;
  /**
   * When the request's last segment was captured, and the response's first and last one, in milliseconds since 1970.
   */
  readonly requestMs: number;
  readonly firstMs: number;
  readonly lastMs: number;
}

const STATUS_LINE = /^(HTTP\/\d\.\d) +\d+ ?([^\r\n]*)/;

/** Makes the response for the file. `bodyBytesMax`: the longest body that is written, without its coding. */
export function filedResponse(response: ProductionResponse, redactor: Redactor, bodyBytesMax: number): FiledResponse {
  const { code, head, bodyLength, requestMs, firstMs, lastMs } = response;
  const view = new HeadView(head);
  const [, version = "HTTP/1.1", reason = ""] = STATUS_LINE.exec(head) ?? [];
  const codings = codingsOf(view.values("content-encoding").join(","));
  return {
    status: code,
    statusText: redactor.text(reason.trim()),
    version,
    headers: filedFields(view, redactor),
    ...content(response, codings, redactor, bodyBytesMax),
    bodyLength,
    headLength: head.length,
    requestMs,
    firstMs,
    lastMs,
  };
}

function content(
  { body, bodyLength, digest }: ProductionResponse,
  codings: readonly string[],
  redactor: Redactor,
  bodyBytesMax: number,
): Pick<FiledResponse, "body" | "contentLength" | "sha256"> {
  if (digest !== null) return { body: undefined, contentLength: bodyLength, sha256: digest };
  if (bodyLength === 0) return { body: undefined, contentLength: 0, sha256: undefined };
  const plain = decodeContent(body, codings);
  if (plain === TOO_LARGE || (plain !== null && plain.length > bodyBytesMax)) {
    const sha256 = Bun.SHA256.hash(body, "hex");
    return { body: undefined, contentLength: plain === TOO_LARGE ? bodyLength : plain.length, sha256 };
  }
  const filed = filedBody(plain ?? body, plain === null, redactor);
  return { body: filed, contentLength: (plain ?? body).length, sha256: undefined };
}
