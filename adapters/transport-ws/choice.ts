/** What `transport: ws()` in a config is. */
import type { TransportChoice } from '../../core/config/config.ts';
import { problemsOf, type WsOptions } from './settings.ts';

/** Sockets and HTTP on one port by the `ws` package and Node's own HTTP server. Opens nothing until the hub starts. */
export const ws = (options: WsOptions = {}): TransportChoice => ({
  port: 'transport',
  name: 'ws',
  options: { ...options },
  capabilities: { tooLargeCode: 1009, tcp: true, checksMask: true },
  problems: () => problemsOf(options),
  create: async ({ log }) => {
    const { wsTransport } = await import('./ws-transport.ts');
    return wsTransport({ log, options });
  },
});
