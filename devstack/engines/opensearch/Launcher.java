import java.io.PrintStream;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.codelibs.opensearch.runner.node.OpenSearchRunnerNode;
import org.opensearch.common.logging.LogConfigurator;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.Plugin;

/**
 * Runs one OpenSearch node with the modules of the official distribution that are on the class path.
 *
 * The distribution's own main class needs its folder layout and refuses to run as root. This one
 * takes the home folder as its argument, reads config/opensearch.yml and log4j2.properties there,
 * and ends when it gets SIGTERM.
 */
public final class Launcher {
  private static final List<Class<? extends Plugin>> MODULES = List.of(
      org.opensearch.analysis.common.CommonAnalysisModulePlugin.class,
      org.opensearch.geo.GeoModulePlugin.class,
      org.opensearch.index.mapper.MapperExtrasModulePlugin.class,
      org.opensearch.index.rankeval.RankEvalModulePlugin.class,
      org.opensearch.index.reindex.ReindexModulePlugin.class,
      org.opensearch.ingest.common.IngestCommonModulePlugin.class,
      org.opensearch.join.ParentJoinModulePlugin.class,
      org.opensearch.painless.PainlessModulePlugin.class,
      org.opensearch.percolator.PercolatorModulePlugin.class,
      org.opensearch.script.expression.ExpressionModulePlugin.class,
      org.opensearch.script.mustache.MustacheModulePlugin.class,
      org.opensearch.search.aggregations.matrix.MatrixAggregationModulePlugin.class,
      org.opensearch.transport.Netty4ModulePlugin.class);

  private Launcher() {}

  public static void main(String[] arguments) {
    try {
      run(Path.of(arguments[0]).toAbsolutePath());
    } catch (Throwable error) {
      error.printStackTrace();
      System.exit(1);
    }
  }

  private static void run(Path home) throws Exception {
    // The logging replaces System.out, and may end before the node does.
    PrintStream console = System.out;
    Settings settings = Settings.builder().put("path.home", home.toString()).build();
    Environment environment = InternalSettingsPreparer.prepareEnvironment(
        settings, Map.of(), home.resolve("config"), () -> "node-1");
    LogConfigurator.registerErrorListener();
    LogConfigurator.setNodeName("node-1");
    LogConfigurator.configure(environment);
    Node node = new OpenSearchRunnerNode(environment, MODULES);
    node.start();
    CountDownLatch stopped = new CountDownLatch(1);
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      try {
        node.close();
        console.println("closed in order");
      } catch (Exception error) {
        error.printStackTrace(console);
      }
      stopped.countDown();
    }));
    stopped.await();
  }
}
