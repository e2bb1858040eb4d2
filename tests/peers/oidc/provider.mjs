// A real OpenID provider for tests: one client, people by name, in memory.
// It is told by environment who they are; it says in lines of JSON where it listens, and which
// logout tokens it would send: the test delivers them.
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const redirects = JSON.parse(process.env.REDIRECTS);
const people = JSON.parse(process.env.PEOPLE);
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

const server = createServer();
await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
const issuer = `http://127.0.0.1:${server.address().port}`;

const client = (method, more) => ({
  client_id: method === 'client_secret_basic' ? 'lockstep' : `lockstep-${method}`,
  token_endpoint_auth_method: method,
  redirect_uris: redirects,
  post_logout_redirect_uris: redirects.map((uri) => new URL('/console/sign-in', uri).href),
  backchannel_logout_uri: 'https://lockstep.example.com/console/oidc/back-channel-logout',
  backchannel_logout_session_required: true,
  ...more,
});
const secret = { client_secret: process.env.CLIENT_SECRET };

const provider = new Provider(issuer, {
  clients: [
    client('client_secret_basic', secret),
    client('client_secret_post', secret),
    client('none'),
    client('private_key_jwt', { jwks: JSON.parse(process.env.CLIENT_KEYS) }),
  ],
  claims: {
    openid: ['sub'],
    profile: ['name', 'preferred_username', 'groups'],
    email: ['email', 'email_verified'],
  },
  findAccount: (_, id) => (people[id] && { accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
  features: { backchannelLogout: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  fetch: async (url, options) => {
    say({ to: String(url), body: String(options.body) });
    return new Response('{}', { status: 200 });
  },
  cookies: { keys: ['test'] },
  ttl: {
    Interaction: 600, Session: 3600, Grant: 3600, AccessToken: 600, IdToken: 600, AuthorizationCode: 60,
  },
});
// The library takes a secret by header or by body, whichever is registered; others are strict.
provider.use(async (ctx, next) => {
  await next();
  if (ctx.oidc?.route === 'token') {
    const client_id = ctx.oidc.client?.clientId;
    say({ client: client_id, by: ctx.headers.authorization ? 'header' : 'body', status: ctx.status });
  }
});
server.on('request', provider.callback());
say({ issuer });
