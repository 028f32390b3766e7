/** `agentcom/transport`: what can carry sockets and HTTP of a hub. Each is chosen by calling it in the config. */
export { uws } from './transport-uws/choice.ts';
export type { UwsOptions } from './transport-uws/settings.ts';
export { ws } from './transport-ws/choice.ts';
export type { WsOptions } from './transport-ws/settings.ts';

// What a transport of your own is written against; `agentcom/testing` has the suite that it must pass.
export type * from '../core/ports/http.ts';
export type * from '../core/ports/hub-link.ts';
export type * from '../core/ports/hub-transport.ts';
