/** The package's entry `agentcom/transport`: what `hub.transport` of a config can be. */
export { ws } from './transport-ws/choice.ts';
export type { WsOptions } from './transport-ws/settings.ts';
