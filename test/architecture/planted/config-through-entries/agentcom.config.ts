import { command } from './plugins/command/index.ts';

export default { sidecar: { wake: command({ argv: ['true'] }) } };
