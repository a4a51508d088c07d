// A certified OpenID provider (npm oidc-provider) on loopback, with keys of its own making at every start.
// Usage: node provider.mjs PORT. It prints "ready" when it listens.
import { generateKeyPairSync, randomUUID } from 'node:crypto';

import { Provider } from 'oidc-provider';

const AUDIENCE = 'stockroom';
const port = Number(process.argv[2]);

const signingKey = (type, options, alg) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }),
  kid: randomUUID(),
  use: 'sig',
  alg,
});

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: 'till',
      client_secret: 'a-secret-of-the-test-suite',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    },
  ],
  cookies: { keys: [randomUUID()] },
  jwks: {
    keys: [signingKey('rsa', { modulusLength: 2048 }, 'RS256'), signingKey('ec', { namedCurve: 'P-256' }, 'ES256')],
  },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      // The resource is `urn:stockroom:ALGORITHM`, so that a test chooses how its token is signed.
      getResourceServerInfo: (_, resource) => ({
        scope: 'api',
        audience: AUDIENCE,
        accessTokenFormat: 'jwt',
        accessTokenTTL: 300,
        jwt: { sign: { alg: resource.split(':').at(-1) } },
      }),
    },
  },
  extraTokenClaims: () => ({ realm: { roles: ['warehouse', 'canteen'] }, name: 'The till' }),
});

provider.on('server_error', (_, error) => console.error(error));
provider.listen(port, '127.0.0.1', () => console.log('ready'));
