import { ws } from 'agentcom/transport';

export const transport = ws();
