/** `agentcom/transport`: the transport adapters, which serve the hub's WebSockets and HTTP. To use one, call it in the config. */
export { uws, type UwsOptions } from './transport-uws/uws.ts';
export { ws, type WsOptions } from './transport-ws/ws.ts';

// For writing your own transport, which must pass the contract suite in `agentcom/testing`.
export type { AdapterChoice, ConfigProblem, TransportChoice, TransportDeps } from '../core/config/config.ts';
export { AgentcomError, type AgentcomErrorOptions } from '../core/errors/agentcom-error.ts';
export type { ErrorCode } from '../core/errors/codes.ts';
export type * from '../core/ports/http.ts';
export type * from '../core/ports/hub-link.ts';
export type * from '../core/ports/hub-transport.ts';
export type { Log, LogFields } from '../core/ports/log.ts';
