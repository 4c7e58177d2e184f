/** The forms of the files: what stands before, between and behind the requests, and how one is written. */
import { VERSION } from "../version.ts";
import type { FiledRequest } from "./filed-request.ts";

export interface FileFormat {
  readonly before: string;
  readonly between: string;
  readonly behind: string;
  entry(request: FiledRequest): string;
}

/** One JSON object a line. */
export const NDJSON: FileFormat = {
  before: "",
  between: "",
  behind: "",
  entry: ({ timeMs, connection, method, target, headers, body }) =>
    `${JSON.stringify({
      time: dateTime(timeMs),
      connection,
      method,
      target,
      headers,
      ...(body === undefined ? {} : body.isBase64 ? { body_base64: body.text } : { body: body.text }),
    })}\n`,
};

/** Nobody has timed it, or measured its length. */
const UNKNOWN = -1;

const CREATOR = { name: "vxlan-to-http", version: VERSION };

/** HTTP Archive 1.2 (http://www.softwareishard.com/blog/har-12-spec/). */
export const HAR: FileFormat = {
  before: `{"log":{"version":"1.2","creator":${JSON.stringify(CREATOR)},"entries":[\n`,
  between: ",\n",
  behind: "\n]}}\n",
  entry: (request) =>
    JSON.stringify({
      startedDateTime: dateTime(request.timeMs),
      time: 0,
      request: harRequest(request),
      response: NO_RESPONSE,
      cache: {},
      timings: { send: 0, wait: 0, receive: 0 },
      connection: String(request.connection),
    }),
};

/** It has to be there. Status 0 is what browsers write where none came. */
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

function harRequest({ method, target, host, version, headers, body }: FiledRequest): object {
  const type = headers.find(([name]) => name.toLowerCase() === "content-type")?.[1] ?? "";
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

/** Where the Host field says nothing. */
const NO_HOST = "localhost";

function urlOf(target: string, host: string): string {
  if (/^[a-z][a-z\d+.-]*:\/\//i.test(target)) return target;
  return `http://${host === "" ? NO_HOST : host}${target.startsWith("/") ? "" : "/"}${target}`;
}

function queryOf(target: string): { name: string; value: string }[] {
  const from = target.indexOf("?");
  if (from < 0) return [];
  const query = target.slice(from + 1).split("#", 1)[0]!;
  return [...new URLSearchParams(query)].map(([name, value]) => ({ name, value }));
}

function dateTime(timeMs: number): string {
  return new Date(timeMs).toISOString();
}
