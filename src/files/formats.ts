/** The formats of the files: the text before, between and behind the requests, and the text of a request. */
import { VERSION } from "../version.ts";
import type { FiledBody } from "./filed-body.ts";
import type { FiledField, FiledRequest } from "./filed-request.ts";
import type { FiledResponse } from "./filed-response.ts";

/** The format of a file. */
export interface FileFormat {
  readonly before: string;
  readonly between: string;
  readonly behind: string;
  /** The beginning of an entry, with its whole request. */
  request(request: FiledRequest): string;
  /** The rest of the entry. `response` null: production's response is not known. */
  response(response: FiledResponse | null, timeMs: number): string;
}

/** One JSON object a line. */
export const NDJSON: FileFormat = {
  before: "",
  between: "",
  behind: "",
  request: ({ timeMs, connection, method, target, headers, body }) =>
    unclosed({ time: dateTime(timeMs), connection, method, target, headers, ...lineBody(body) }),
  response: (response) => (response === null ? "}\n" : `,"response":${JSON.stringify(lineResponse(response))}}\n`),
};

function lineResponse({ status, headers, body, contentLength, sha256, ...times }: FiledResponse): object {
  const { requestMs, firstMs, lastMs } = times;
  return {
    status,
    headers,
    ...lineBody(body),
    ...(sha256 === undefined ? {} : { body_bytes: contentLength, body_sha256: sha256 }),
    first_byte_ms: passed(requestMs, firstMs),
    last_byte_ms: passed(requestMs, lastMs),
  };
}

function lineBody(body: FiledBody | undefined): object {
  if (body === undefined) return {};
  return body.isBase64 ? { body_base64: body.text } : { body: body.text };
}

/** The value of a time or a length that is not known. */
const UNKNOWN = -1;

const CREATOR = { name: "vxlan-to-http", version: VERSION };

/** HTTP Archive 1.2 (http://www.softwareishard.com/blog/har-12-spec/). */
export const HAR: FileFormat = {
  before: `{"log":{"version":"1.2","creator":${JSON.stringify(CREATOR)},"entries":[\n`,
  between: ",\n",
  behind: "\n]}}\n",
  request: (request) =>
    unclosed({
      startedDateTime: dateTime(request.timeMs),
      request: harRequest(request),
      cache: {},
      connection: String(request.connection),
    }),
  response: (response, timeMs) => `,${JSON.stringify(harEnd(response, timeMs)).slice(1)}`,
};

function harEnd(response: FiledResponse | null, timeMs: number): object {
  if (response === null) return { time: 0, response: NO_RESPONSE, timings: { send: 0, wait: 0, receive: 0 } };
  const { requestMs, firstMs, lastMs } = response;
  const timings = {
    send: passed(timeMs, requestMs),
    wait: passed(requestMs, firstMs),
    receive: passed(firstMs, lastMs),
  };
  const time = rounded(timings.send + timings.wait + timings.receive);
  return { time, response: harResponse(response), timings };
}

/** HAR needs a response. Browsers write status 0 if none came. */
const NO_RESPONSE = {
  status: 0,
  statusText: "",
  httpVersion: "HTTP/1.1",
  cookies: [],
  headers: [],
  content: { size: 0, mimeType: "" },
  redirectURL: "",
  headersSize: UNKNOWN,
  bodySize: UNKNOWN,
};

function harResponse(response: FiledResponse): object {
  const { status, statusText, version, headers, headLength, bodyLength } = response;
  return {
    status,
    statusText,
    httpVersion: version,
    cookies: [],
    headers: headers.map(([name, value]) => ({ name, value })),
    content: harContent(response),
    redirectURL: fieldOf(headers, "location"),
    headersSize: headLength,
    bodySize: bodyLength,
  };
}

function harContent({ headers, body, contentLength, bodyLength, sha256 }: FiledResponse): object {
  return {
    size: contentLength,
    ...(contentLength > bodyLength ? { compression: contentLength - bodyLength } : {}),
    mimeType: fieldOf(headers, "content-type"),
    ...(body === undefined ? {} : { text: body.text, ...(body.isBase64 ? { encoding: "base64" } : {}) }),
    ...(sha256 === undefined ? {} : { comment: `too long to stand here; SHA-256 of the bytes that came: ${sha256}` }),
  };
}

function harRequest({ method, target, host, version, headers, body }: FiledRequest): object {
  const type = fieldOf(headers, "content-type");
  return {
    method,
    url: urlOf(target, host),
    httpVersion: version,
    cookies: [],
    headers: headers.map(([name, value]) => ({ name, value })),
    queryString: queryOf(target),
    ...(body === undefined
      ? {}
      : { postData: { mimeType: type, text: body.text, ...(body.isBase64 ? { _encoding: "base64" } : {}) } }),
    headersSize: UNKNOWN,
    bodySize: UNKNOWN,
  };
}

/** The host, if the Host field names none. */
const NO_HOST = "localhost";

function urlOf(target: string, host: string): string {
  if (/^[a-z][a-z\d+.-]*:\/\//i.test(target)) return target;
  return `http://${host === "" ? NO_HOST : host}${target.startsWith("/") ? "" : "/"}${target}`;
}

function queryOf(target: string): { name: string; value: string }[] {
  const from = target.indexOf("?");
  if (from < 0) return [];
  const query = target.slice(from + 1).split("#", 1)[0]!;
  return Array.from(new URLSearchParams(query), ([name, value]) => ({ name, value }));
}

function fieldOf(headers: readonly FiledField[], wanted: string): string {
  return headers.find(([name]) => name.toLowerCase() === wanted)?.[1] ?? "";
}

/** An object without its end. */
function unclosed(object: object): string {
  return JSON.stringify(object).slice(0, -1);
}

/**
 * The time between two captures; not negative, because segments may be captured in another order than they were sent.
 */
function passed(fromMs: number, toMs: number): number {
  return rounded(Math.max(toMs - fromMs, 0));
}

/** Rounds to microseconds, the precision of captures. */
function rounded(ms: number): number {
  return Math.round(ms * US_PER_MS) / US_PER_MS;
}

const US_PER_MS = 1000;

function dateTime(timeMs: number): string {
  return new Date(timeMs).toISOString();
}
