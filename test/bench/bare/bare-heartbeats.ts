/** The least that a hub of idle sidecars can be: `ws`, one entry for each agent, and an answer to each ping. Tells its parent its port once it listens. */
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';

/** Version 2 of the protocol, as far as a sidecar without tasks uses it. */
type SidecarFrame = { readonly type: 'identify'; readonly agent_id: string } | { readonly type: 'ping' };

const seenAtMs = new Map<string, number>();

const sockets = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false, skipUTF8Validation: true });
sockets.on('connection', (socket) => {
  let agentId = '';
  socket.on('message', (data) => {
    const frame = JSON.parse((data as Buffer).toString()) as SidecarFrame;
    seenAtMs.set((agentId ||= frame.type === 'identify' ? frame.agent_id : ''), Date.now());
    if (frame.type === 'ping') socket.send(`{"type":"pong","timestamp":${Date.now()}}`);
    else socket.send(JSON.stringify({ type: 'identified', agent_id: agentId, protocol_version: 2, hub_id: 'bare' }));
  });
  socket.on('close', () => seenAtMs.delete(agentId));
  socket.on('error', () => socket.terminate());
});
sockets.on('listening', () => process.send?.((sockets.address() as AddressInfo).port));

process.once('disconnect', () => process.exit(0));
