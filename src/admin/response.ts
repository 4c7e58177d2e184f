/** Responses of the admin port, as bytes. Each is the only one of its connection. */

export interface Page {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

export const TEXT = "text/plain; charset=utf-8";
export const JSON_TYPE = "application/json";

const REASONS: Record<number, string> = {
  200: "OK",
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  431: "Request Header Fields Too Large",
  503: "Service Unavailable",
};

/** A response with `text` as its body. */
export function told(status: number, text: string): Page {
  return { status, contentType: TEXT, body: `${text}\n` };
}

/** A response's bytes, and those of them that HEAD gets. */
export interface Encoded {
  readonly whole: Uint8Array;
  readonly head: Uint8Array;
}

/** Makes a response's bytes. `fields`: further header fields. */
export function encode({ status, contentType, body }: Page, fields = ""): Encoded {
  const head =
    `HTTP/1.1 ${status} ${REASONS[status]}\r\nContent-Type: ${contentType}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` +
    `Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n${fields}Connection: close\r\n\r\n`;
  const whole = Buffer.from(head + body);
  return { whole, head: whole.subarray(0, head.length) };
}
