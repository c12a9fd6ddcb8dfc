import java.io.PrintStream;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

/**
 * Runs one Elasticsearch node from a home folder with lib/, modules/ and config/.
 *
 * The distribution's own main class refuses to run as root. This one takes the home folder as its
 * argument and ends when it gets SIGTERM.
 */
public final class Launcher {
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
    LogConfigurator.configureESLogging();
    Settings settings = Settings.builder().put("path.home", home.toString()).build();
    Environment environment = InternalSettingsPreparer.prepareEnvironment(
        settings, Map.of(), home.resolve("config"), () -> "node-1");
    LogConfigurator.registerErrorListener();
    LogConfigurator.setNodeName("node-1");
    LogConfigurator.configure(environment, true);
    PluginsLoader plugins = PluginsLoader.createPluginsLoader(
        PluginsLoader.loadModulesBundles(environment.modulesDir(), true),
        PluginsLoader.loadPluginsBundles(environment.pluginsDir(), true),
        Map.of(),
        false);
    Node node = new Node(environment, plugins);
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
