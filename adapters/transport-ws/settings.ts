/** The options of the ws transport: limits on connections and timeouts. */
import type { ConfigProblem } from '../../core/config/config.ts';
import { numberProblems, withDefaults } from '../../core/config/number-options.ts';
import type { HubTransport } from '../../core/ports/hub-transport.ts';

export const WS_CAPABILITIES = {
  tooLargeCode: 1009,
  tcp: true,
  checksMask: true,
  tls: true,
  tls13Only: true,
} as const satisfies HubTransport['capabilities'];

/** Options of `ws()`. Times are milliseconds. */
export interface WsOptions {
  /**
   * HTTP connections open at once, in addition to `socketsMax` WebSockets: a TCP connection beyond the sum of both is dropped.
   * Upgrades that wait do not count. Default 2,000.
   */
  readonly httpConnectionsMax?: number | undefined;
  /**
   * How long the head of a request may take to arrive, since the connection was opened or the previous request ended; and how long a TLS
   * handshake may take. Default 10,000.
   */
  readonly headersWithinMs?: number | undefined;
  /** How long a complete request, including its body, may take to arrive. At least `headersWithinMs`. Default 60,000. */
  readonly requestWithinMs?: number | undefined;
  /** How long an idle HTTP connection stays open between two requests. Default 30,000. */
  readonly keepAliveMs?: number | undefined;
  /** How long an HTTP connection may carry no data in either direction while a request is handled. Default 120,000. */
  readonly idleMs?: number | undefined;
  /**
   * How long a peer may take to answer a close frame, and a request to finish when the hub closes, before the connection is destroyed.
   * Default 1,000.
   */
  readonly closeWithinMs?: number | undefined;
}

/** Every option, with its default filled in. */
export type WsSettings = { readonly [Key in keyof WsOptions]-?: number };

const DEFAULTS: WsSettings = {
  httpConnectionsMax: 2_000,
  headersWithinMs: 10_000,
  requestWithinMs: 60_000,
  keepAliveMs: 30_000,
  idleMs: 120_000,
  closeWithinMs: 1_000,
};

export const settingsOf = (options: WsOptions): WsSettings => withDefaults(options, DEFAULTS);

/** Mistakes in the options of a config. */
export const problemsOf = (options: WsOptions): readonly ConfigProblem[] => {
  const problems = [...numberProblems(options, DEFAULTS)];
  const { headersWithinMs, requestWithinMs } = settingsOf(options);
  if (headersWithinMs > requestWithinMs) {
    problems.push({
      path: 'requestWithinMs',
      message: `expected at least headersWithinMs (${headersWithinMs}), found ${requestWithinMs}.`,
    });
  }
  return problems;
};
