import type { TransportChoice } from '../../core/config/config.ts';
import { problemsOf, WS_CAPABILITIES, type WsOptions } from './settings.ts';

export type { WsOptions } from './settings.ts';

/** Serves WebSockets and HTTP with the `ws` package and Node's own HTTP server. Opens nothing until the hub starts. */
export const ws = (options: WsOptions = {}): TransportChoice => ({
  port: 'transport',
  name: 'ws',
  options: { ...options },
  capabilities: { ...WS_CAPABILITIES },
  problems: () => problemsOf(options),
  create: async ({ log, certificate }) => {
    const { wsTransport } = await import('./ws-transport.ts');
    return wsTransport({ log, options, certificate });
  },
});
