package devstack;

import java.io.IOException;
import java.util.Collection;
import java.util.List;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.elasticsearch.Build;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.cluster.node.DiscoveryNodes;
import org.elasticsearch.features.NodeFeature;
import org.elasticsearch.plugins.ActionPlugin;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.xcontent.XContentBuilder;

/** Answers GET / as the distribution does: clients ask it for the product and its version. */
public final class RootPlugin extends Plugin implements ActionPlugin {
  @Override
  public Collection<RestHandler> getRestHandlers(
      RestHandlersServices services,
      Supplier<DiscoveryNodes> nodes,
      Predicate<NodeFeature> features) {
    return List.of(new Root());
  }

  private static final class Root extends BaseRestHandler {
    @Override
    public String getName() {
      return "devstack_root";
    }

    @Override
    public List<Route> routes() {
      return List.of(
          new Route(RestRequest.Method.GET, "/"), new Route(RestRequest.Method.HEAD, "/"));
    }

    @Override
    protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) {
      return channel -> {
        try (XContentBuilder body = channel.newBuilder()) {
          channel.sendResponse(new RestResponse(RestStatus.OK, describe(body)));
        }
      };
    }

    private static XContentBuilder describe(XContentBuilder body) throws IOException {
      Build build = Build.current();
      body.startObject();
      body.field("name", "node-1");
      body.field("cluster_name", "devstack");
      body.startObject("version");
      body.field("number", build.version());
      body.field("build_flavor", "default");
      body.field("build_hash", build.hash());
      body.field("lucene_version", org.apache.lucene.util.Version.LATEST.toString());
      body.field("minimum_wire_compatibility_version", "8.19.0");
      body.endObject();
      body.field("tagline", "You Know, for Search");
      return body.endObject();
    }
  }
}
