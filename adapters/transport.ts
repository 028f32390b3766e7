/** The package's entry `agentcom/transport`: what `hub.transport` of a config can be. */
export { ws, type WsOptions } from './transport-ws/choice.ts';
