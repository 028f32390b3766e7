/** What `transport: uws()` in a config is. */
import type { TransportChoice } from '../../core/config/config.ts';
import { problemsOf, type UwsOptions } from './settings.ts';

/**
 * Sockets and HTTP on one port by uWebSockets.js, which is installed beside this package: `create` fails with
 * `AC_PACKAGE_MISSING` without it. Opens nothing until the hub starts.
 */
export const uws = (options: UwsOptions = {}): TransportChoice => ({
  port: 'transport',
  name: 'uws',
  options: { ...options },
  capabilities: { tooLargeCode: 1006, tcp: true, checksMask: false },
  problems: () => problemsOf(options),
  create: async ({ log }) => {
    const { loadUws } = await import('./uws-package.ts');
    const { uwsTransport } = await import('./uws-transport.ts');
    return uwsTransport({ log, options, native: await loadUws() });
  },
});
