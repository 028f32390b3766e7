/** What the client needs of the platform that it runs on: Node, or a browser. */

/** One HTTP request. */
export interface HttpQuestion {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  /** Ends the request, and the body of its answer. */
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly statusText: string;
  /** Null if the answer does not have it. */
  header(name: string): string | null;
  /** The bytes as they arrive. Rejects with the signal's reason once it is aborted. */
  bytes(): AsyncGenerator<Uint8Array, void>;
  /** The whole body. */
  text(): Promise<string>;
}

/**
 * Sends a request and follows no redirect: it would send the token to another address. Rejects with the signal's reason once it is
 * aborted; if the connection fails, with an error whose `code` begins with `E`.
 */
export type Exchange = (address: URL, question: HttpQuestion) => Promise<HttpAnswer>;

export interface Platform {
  readonly exchange: Exchange;
  /** 32 random hexadecimal digits or more, dashes apart. */
  readonly random: () => string;
}

/**
 * Makes idempotency keys: the time as 12 hexadecimal digits, then random ones. Keys of one time are neighbours in the hub's index, so that
 * what is submitted together changes few pages of it; random ones change a page each.
 */
export function keyMaker(random: Platform['random']): () => string {
  let atMs = 0;
  let time = '';
  return () => {
    const nowMs = Date.now();
    if (nowMs !== atMs) time = nowMs.toString(16).padStart(12, '0');
    atMs = nowMs;
    return `${time}-${random()}`;
  };
}

/** An aborted request fails with an error of its connection; what counts is why it was aborted. */
export const reasonOf = (signal: AbortSignal, thrown: unknown): Error => (signal.aborted ? signal.reason : thrown) as Error;
