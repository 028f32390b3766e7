import type { TransportChoice } from '../../core/config/config.ts';
import { problemsOf, UWS_CAPABILITIES, type UwsOptions } from './settings.ts';

export type { UwsOptions } from './settings.ts';

/**
 * Serves WebSockets and HTTP with uWebSockets.js, an optional package that has to be installed: without it, `create` fails with
 * `AC_PACKAGE_MISSING`. Opens nothing until the hub starts.
 */
export const uws = (options: UwsOptions = {}): TransportChoice => ({
  port: 'transport',
  name: 'uws',
  options: { ...options },
  capabilities: { ...UWS_CAPABILITIES },
  problems: () => problemsOf(options),
  create: async ({ log, certificate }) => {
    const { loadUws } = await import('./uws-package.ts');
    const { uwsTransport } = await import('./uws-transport.ts');
    return uwsTransport({ log, options, certificate, native: await loadUws() });
  },
});
