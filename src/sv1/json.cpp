// Boost.JSON's own definitions, compiled once. Nothing else may stand here: another archive with the same objects must not
// clash.
#include <boost/json/src.hpp>
